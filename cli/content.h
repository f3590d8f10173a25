// The bytes of an input: a file, plain or gzip, or a member of an archive (cli/zip_archive.h). What lies plain is read
// where it lies, piece by piece; what is packed is unpacked into memory, because it cannot be read from the middle.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "daemon/protocol.h"

namespace vs::cli {

class Content {
 public:
  // One of the places where bytes can lie; the functions are those of Content.
  class Source {
   public:
    virtual ~Source() = default;
    virtual Result<std::vector<uint8_t>> head(size_t bytes) = 0;
    virtual Status expect(uint64_t bytes) = 0;
    virtual Status read(uint64_t offset, std::span<uint8_t> out) const = 0;
  };

  // Of a file. Gzip is known by its first two bytes, not by the file's name. Errors: kIoError.
  static Result<Content> open(const std::string& path);
  explicit Content(std::shared_ptr<Source> source) : source_(std::move(source)) {}

  // The first `bytes` bytes, or all if there are fewer. REQUIRES: expect() was not called yet.
  Result<std::vector<uint8_t>> head(size_t bytes) { return source_->head(bytes); }
  // Checks that the content is exactly `bytes` long; unpacks it if it is packed. Memory grows with what is really there,
  // never with what a header claims. Errors: kBadRequest (shorter, longer or damaged), kTooLarge, kIoError.
  Status expect(uint64_t bytes) { return source_->expect(bytes); }
  // REQUIRES: expect() was ok and offset + out.size() lies within. Safe from several threads. Errors: kIoError.
  Status read(uint64_t offset, std::span<uint8_t> out) const { return source_->read(offset, out); }

 private:
  std::shared_ptr<Source> source_;
};

// What expect() says when `there` are not the bytes that a header promises; ok if they are.
Status compare_length(uint64_t promised, uint64_t there);

}  // namespace vs::cli
