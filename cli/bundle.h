// What brings more to an import than vectors: an NPZ file, which may hold ids, labels and attributes beside them, and the
// folder of the Python implementation VectorSearch-with-HNSW (cli/seed.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/array.h"

namespace vs::cli {

struct Bundle {
  Array vectors;
  std::vector<std::string> ids = {};           // one a row of `vectors`, or empty
  std::vector<int64_t> labels = {};            // likewise; not together with attributes
  std::optional<std::string> attributes = {};  // lines of JSON objects, not checked
  // For a collection that is made for it: {"metric", "l2"}, … with the names of the protocol.
  std::vector<std::pair<std::string, std::string>> settings = {};
};

// nullopt if `path` is neither by its content, and `format` ("npz", "seed") does not say so. Errors name the file:
// kBadRequest, kTooLarge, kIoError.
Result<std::optional<Bundle>> open_bundle(const std::string& path, const std::string& format);

// The parts (npz.cc, seed.cc). Errors: likewise.
Result<Bundle> open_npz(const std::string& path);
Result<Bundle> open_seed(const std::string& directory);

}  // namespace vs::cli
