// What distances are computed from: a row a slot, which is the vector's floats or its code. A query is a row of the same
// kind.
#pragma once

#include <cstddef>
#include <limits>

#include "index/quantizer.h"
#include "index/types.h"

namespace vs {

struct Rows {
  const std::byte* base = nullptr;
  size_t stride = 0;  // bytes
  size_t bytes = 0;   // of a row that a distance reads
  // One of them is there. Floats: over `dim` of them. Codes: over `bytes`, and `factor` makes the sum a distance.
  size_t dim = 0;
  DistanceFunction of_floats = nullptr;
  CodeDistanceFunction of_codes = nullptr;
  int zero = 0;
  float factor = 0;
  CodeRange range;

  const std::byte* row(Slot slot) const { return base + size_t{slot.value} * stride; }

  // As the index orders: see index_distance().
  float distance(const void* query, Slot slot) const {
    const std::byte* other = row(slot);
    float d;
    if (of_codes != nullptr) {
      d = factor * static_cast<float>(of_codes(static_cast<const uint8_t*>(query),
                                               reinterpret_cast<const uint8_t*>(other), bytes, zero));
    } else {
      d = of_floats(static_cast<const float*>(query), reinterpret_cast<const float*>(other), dim);
    }
    constexpr float kLargest = std::numeric_limits<float>::max();
    // Components near the end of float's range make sums that are infinite or NaN; neither may reach an ordering.
    if (d < kLargest) return d > -kLargest ? d : -kLargest;
    return kLargest;
  }
  float distance(Slot a, Slot b) const { return distance(row(a), b); }

  void prefetch(Slot slot) const {
    const std::byte* p = row(slot);
    for (size_t offset = 0; offset < bytes; offset += 64) __builtin_prefetch(p + offset, 0, 3);
  }
};

}  // namespace vs
