// What a search keeps between calls, one for each thread, so that a search allocates nothing once it is warm.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "index/graph.h"
#include "index/pool.h"

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
  Pool pool;
  std::vector<Neighbor> frontier;  // of the vacuum: heap, nearest on top
  std::vector<Neighbor> results;   // of a layer, nearest first
  std::vector<Slot> fresh;         // neighbours of the node in hand that were not seen before
  std::vector<uint8_t> code;       // of a query

  // Many distances at a time: while one is computed, the memory of the next is on its way.
  template <class Visit>
  void for_each_fresh(const Rows& rows, const void* query, Visit visit) {
    float distances[Rows::kBatch];
    for (size_t first = 0; first < fresh.size(); first += Rows::kBatch) {
      const std::span<const Slot> batch = std::span(fresh).subspan(first, std::min(fresh.size() - first, Rows::kBatch));
      rows.distances(query, batch, distances);
      for (size_t i = 0; i < batch.size(); ++i) visit(Neighbor{distances[i], batch[i]});
    }
  }
};

}  // namespace vs
