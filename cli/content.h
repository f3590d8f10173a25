// The bytes of an input file, plain or gzip, for reading at any place. A plain file is read where it lies, piece by piece; a
// gzip one is unpacked into memory, because it cannot be read from the middle; a pipe is first written to a temporary file
// without a name.
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
  // Errors: kIoError, kBadRequest (damaged gzip).
  static Result<Content> open(const std::string& path);
  // Likewise of a stream that was opened for `path`, of which nothing was taken.
  static Result<Content> open(const std::string& path, InputStream stream);

  // The first `bytes` bytes, or all if the file is shorter. REQUIRES: expect() was not called yet.
  Result<std::vector<uint8_t>> head(size_t bytes);
  // How many bytes there are; unpacks all of them if it is gzip. Errors: kBadRequest (damaged), kIoError.
  Result<uint64_t> size();
  // Checks that the content is exactly `bytes` long; unpacks it if it is gzip. Memory grows with what is really there,
  // never with what a header claims. Errors: kBadRequest (shorter, longer or damaged), kIoError.
  Status expect(uint64_t bytes);
  // REQUIRES: expect() was ok and offset + out.size() lies within. Safe from several threads. Errors: kIoError.
  Status read(uint64_t offset, std::span<uint8_t> out) const;

  struct Source;  // the open file

 private:
  explicit Content(std::shared_ptr<Source> source);
  std::shared_ptr<Source> source_;
};

}  // namespace vs::cli
