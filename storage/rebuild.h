// Rebuilding a collection: what can be changed by it, what it reports. rebuild.cc has how.
#pragma once

#include <cstdint>
#include <optional>

#include "storage/config.h"

namespace vs::storage {

// What is not set stays as it is.
struct RebuildOptions {
  std::optional<uint32_t> m;
  std::optional<uint32_t> ef_construction;
  std::optional<double> ml;  // 0 asks for 1/ln(m); by default it stays what it is, unless `m` changes
  std::optional<CodeType> codes;
};

struct RebuildReport {
  CollectionConfig config;
  uint64_t generation = 0;
  uint64_t points = 0;         // live
  uint64_t deleted_slots = 0;  // that went: of deleted and replaced points
  uint64_t bytes_before = 0;   // of the mapped files
  uint64_t bytes = 0;
  double stall_ms = 0;  // the longest time that writes waited for the rebuild; searches do not wait
};

}  // namespace vs::storage
