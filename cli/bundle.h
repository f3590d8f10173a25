// What is read as arrays: the vectors, and what lies beside them in an NPZ file and in the folder of the Python implementation
// VectorSearch-with-HNSW (cli/seed.h).
#pragma once

#include <string>
#include <vector>

#include "cli/array.h"
#include "cli/row_reader.h"

namespace vs::cli {

struct Bundle {
  Array vectors;
  std::vector<std::string> ids = {};         // one a row of `vectors`, all different, or empty
  std::vector<std::string> attributes = {};  // one JSON object a row, or empty
  CollectionSettings settings = {};
};

// The parts (npz.cc, seed.cc). Errors name the file, or the array or file in it: kBadRequest, kTooLarge, kIoError.
// `stream` was opened for `path`, and nothing was taken of it.
Result<Bundle> open_npz(const std::string& path, InputStream stream, const RowOptions& options);
Result<Bundle> open_seed(const std::string& directory, const RowOptions& options);

}  // namespace vs::cli
