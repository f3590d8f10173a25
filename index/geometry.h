// Where everything lies in the memory of a graph. The only header with byte arithmetic; docs/format.md has the picture.
//
//   vectors  slot s: `dim` floats at s * vector_stride; the padding up to the next multiple of 64 bytes is 0
//   links0   slot s: m0 = 2m words, the links of layer 0
//   upper    for each slot of level L > 0, in the order of the slots: L rows of m words, layer 1 first
//
// A link word is the target's slot + 1; 0 is no link. Words are aligned and 32 bits, and change one at a time, so that
// any mix of old and new words (a crash, a concurrent reader) is still a graph.
//
// level(slot) is a pure function of seed and slot: it is stored nowhere and cannot be damaged.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "index/limits.h"
#include "index/types.h"

namespace vs {

struct Geometry {
  uint32_t dim = 0;
  uint32_t m = 0;
  double ml = 0;
  uint64_t seed = 0;

  // Slots of one generation: a node's first upper row is kept in 28 bits (graph.h).
  static constexpr uint32_t kSlotsMax = (1u << 28) - 1;

  uint32_t m0() const { return 2 * m; }
  uint32_t links_in(int layer) const { return layer == 0 ? m0() : m; }

  size_t vector_stride() const { return (size_t{dim} * sizeof(float) + 63) / 64 * 64; }
  size_t links0_stride() const { return size_t{m0()} * sizeof(uint32_t); }
  size_t upper_row_stride() const { return size_t{m} * sizeof(uint32_t); }

  // Malkov & Yashunin, algorithm 1, line 4: floor(-ln(unif(0,1)) * mL), cut at limits::kLayerMax.
  int level(Slot slot) const {
    // splitmix64 (Steele, Lea, Flood 2014): neighbouring slots give independent numbers.
    uint64_t z = seed + (uint64_t{slot.value} + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    const double uniform = (static_cast<double>(z >> 11) + 0.5) * 0x1p-53;  // in (0, 1)
    return static_cast<int>(std::min(-std::log(uniform) * ml, double{limits::kLayerMax}));
  }
};

}  // namespace vs
