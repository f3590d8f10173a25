// The two numbers that must never be mixed up, as types of their own.
#pragma once

#include <compare>
#include <cstdint>

namespace vs {

// Number of a vector's place in one generation's mapped files: 0, 1, 2, … in the order of their LSNs; never reused.
struct Slot {
  uint32_t value = 0;
  friend auto operator<=>(Slot, Slot) = default;
};
inline constexpr Slot kNoSlot{0xFFFFFFFFu};

// Log sequence number: 1, 2, 3, … without gaps in each collection. 0 stands for "before the first".
struct Lsn {
  uint64_t value = 0;
  friend auto operator<=>(Lsn, Lsn) = default;
};

}  // namespace vs
