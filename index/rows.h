// What distances are computed from: a row a slot, which is the vector's floats or its code. A query is a row of the same
// kind.
#pragma once

#include <cstddef>
#include <limits>
#include <span>

#include "index/distance_kernels.h"
#include "index/quantizer.h"
#include "index/types.h"

namespace vs {

struct Rows {
  const std::byte* base = nullptr;
  size_t stride = 0;                                          // bytes
  size_t bytes = 0;                                           // of a row that a distance reads
  uint32_t slots_max = std::numeric_limits<uint32_t>::max();  // those below have rows
  // One of them is there. Floats: over `dim` of them. Codes: over `bytes`, with the terms of both (CodeTerms).
  size_t dim = 0;
  DistanceFunction of_floats = nullptr;
  CodeProductsFunction of_codes = nullptr;
  int64_t weight = 0;  // of the product
  float factor = 0;
  CodeRange range;

  const std::byte* row(Slot slot) const { return base + size_t{slot.value} * stride; }

  // Writes the distances of all `slots`, as the index orders: see index_distance(). At most kBatch of them.
  static constexpr size_t kBatch = 64;
  void distances(const void* query, std::span<const Slot> slots, float* out) const {
    if (of_codes != nullptr) return distances_of_codes(query, slots, out);
    for_each_row(*this, bytes, slots, [&](size_t i, const std::byte* floats) {
      out[i] = in_order(of_floats(static_cast<const float*>(query), reinterpret_cast<const float*>(floats), dim));
    });
  }
  float distance(const void* query, Slot slot) const {
    float d = 0;
    distances(query, {&slot, 1}, &d);
    return d;
  }
  float distance(Slot a, Slot b) const { return distance(row(a), b); }

  VS_PREFETCHES void prefetch(Slot slot) const { vs::prefetch(row(slot), bytes); }
  // What distances() of these is going to read first.
  VS_PREFETCHES void prefetch_first(std::span<const Slot> slots) const {
    for (const Slot slot : slots.first(std::min(rows_ahead(bytes), slots.size()))) prefetch(slot);
  }
  // What is going to be read, but not next.
  VS_PREFETCHES void prefetch_far(Slot slot) const { vs::prefetch<2>(row(slot), bytes); }

 private:
  void distances_of_codes(const void* query, std::span<const Slot> slots, float* out) const {
    int32_t products[kBatch];
    of_codes({reinterpret_cast<const uint8_t*>(base), stride, bytes}, static_cast<const uint8_t*>(query), slots,
             products);
    const uint64_t as_query = CodeTerms::of(query, bytes).as_query;
    for (size_t i = 0; i < slots.size(); ++i) {
      // Unsigned, since the terms of a damaged row may be anything.
      const uint64_t sum =
          CodeTerms::of(row(slots[i]), bytes).as_row + as_query - static_cast<uint64_t>(weight * products[i]);
      out[i] = in_order(factor * static_cast<float>(static_cast<int64_t>(sum)));
    }
  }
  // Components near the end of float's range make sums that are infinite or NaN; neither may reach an ordering.
  static float in_order(float d) {
    constexpr float kLargest = std::numeric_limits<float>::max();
    if (d < kLargest) return d > -kLargest ? d : -kLargest;
    return kLargest;
  }
};

}  // namespace vs
