// The bytes of an input file, plain or gzip. A plain file is read where it lies, piece by piece; a gzip one is unpacked
// into memory, because it cannot be read from the middle.
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
  // Gzip is known by its first two bytes, not by the file's name. Errors: kIoError.
  static Result<Content> open(const std::string& path);

  // The first `bytes` bytes, or all if the file is shorter. REQUIRES: expect() was not called yet.
  Result<std::vector<uint8_t>> head(size_t bytes);
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
