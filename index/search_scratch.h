// What a search keeps between calls, one for each thread, so that a search allocates nothing once it is warm.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "index/graph.h"

namespace vs {

// A set of slots that is emptied in no time: a slot is in it when its stamp is the current epoch's. Two bytes a slot,
// so that the stamps of 100,000 slots stay in a core's cache.
class VisitedSet {
 public:
  void start(uint32_t slot_bound) {
    if (stamps_.size() < slot_bound) stamps_.resize(slot_bound);
    if (++epoch_ == 0) {
      std::fill(stamps_.begin(), stamps_.end(), uint16_t{0});
      epoch_ = 1;
    }
  }
  // True when `slot` was not in the set. A slot beyond the bound of start() counts as being in it.
  bool insert(Slot slot) {
    if (slot.value >= stamps_.size() || stamps_[slot.value] == epoch_) return false;
    stamps_[slot.value] = epoch_;
    return true;
  }

 private:
  std::vector<uint16_t> stamps_;
  uint16_t epoch_ = 0;
};

// For the standard heap functions: the nearest on top.
struct NearestFirst {
  bool operator()(const Neighbor& a, const Neighbor& b) const { return b < a; }
};

struct Graph::SearchScratch {
  VisitedSet visited;
  std::vector<Neighbor> frontier;  // heap, nearest on top
  std::vector<Neighbor> results;   // heap, farthest on top; sorted at the end of a layer
  std::vector<Slot> fresh;         // neighbours of the node in hand that were not seen before
};

inline constexpr size_t kPrefetchAhead = 2;

inline void prefetch(const float* vector, size_t bytes) {
  const char* p = reinterpret_cast<const char*>(vector);
  for (size_t offset = 0; offset < bytes; offset += 64) __builtin_prefetch(p + offset, 0, 3);
}

}  // namespace vs
