// The folder that the Python implementation VectorSearch-with-HNSW saves and loads: vectors.npy (float32, a row a node), levels.npy
// (int32), tombstones.npy (bool), graph.json (a list with an object a node: layer → neighbours) and meta.json.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cli/row_reader.h"

namespace vs::cli {

struct SeedMeta {
  uint64_t dim = 0;
  CollectionSettings settings;
};

// Of meta.json's text. Members that a collection has no use for are passed over. Errors: kBadRequest.
Result<SeedMeta> parse_seed_meta(std::string_view json);

}  // namespace vs::cli
