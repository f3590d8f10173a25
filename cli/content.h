// The bytes of an input, for reading at any place: of a file, plain or gzip, of a pipe, or of a member of an archive
// (cli/zip_archive.h). What lies plain is read where it lies, piece by piece; what is packed is unpacked into memory, because
// it cannot be read from the middle; a pipe is first written to a temporary file without a name.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cli/input_stream.h"

namespace vs::cli {

class Content {
 public:
  // One of the places where bytes can lie; the functions are those of Content.
  class Source {
   public:
    virtual ~Source() = default;
    virtual Result<std::vector<uint8_t>> head(size_t bytes) = 0;
    virtual Result<uint64_t> size() = 0;
    virtual Status expect(uint64_t bytes) = 0;
    virtual Status read(uint64_t offset, std::span<uint8_t> out) const = 0;
  };

  // Errors: kIoError, kBadRequest (damaged gzip).
  static Result<Content> open(const std::string& path);
  // Likewise of a stream that was opened for `path`, of which nothing was taken.
  static Result<Content> open(const std::string& path, InputStream stream);
  explicit Content(std::shared_ptr<Source> source) : source_(std::move(source)) {}

  // The first `bytes` bytes, or all if there are fewer. REQUIRES: expect() was not called yet.
  Result<std::vector<uint8_t>> head(size_t bytes) { return source_->head(bytes); }
  // How many bytes there are; unpacks all of them if they are gzip. Errors: kBadRequest (damaged), kIoError.
  Result<uint64_t> size() { return source_->size(); }
  // Checks that the content is exactly `bytes` long; unpacks it if it is packed. Memory grows with what is really there,
  // never with what a header claims. Errors: kBadRequest (shorter, longer or damaged), kTooLarge, kIoError.
  Status expect(uint64_t bytes) { return source_->expect(bytes); }
  // REQUIRES: expect() was ok and offset + out.size() lies within. Safe from several threads. Errors: kIoError.
  Status read(uint64_t offset, std::span<uint8_t> out) const { return source_->read(offset, out); }

 private:
  std::shared_ptr<Source> source_;
};

// A descriptor of a file that holds the stream's bytes unpacked, at its beginning, for the caller to close: of the file
// itself, or of a temporary one. REQUIRES, Errors: as Content::open().
Result<int> open_unpacked(const std::string& path, InputStream stream);

// What expect() says when `there` are not the bytes that a header promises; ok if they are.
Status compare_length(uint64_t promised, uint64_t there);

}  // namespace vs::cli
