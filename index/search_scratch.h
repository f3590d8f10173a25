// What a search keeps between calls, one for each thread, so that a search allocates nothing once it is warm.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "index/graph.h"
#include "index/pool.h"

namespace vs {

// A set of slots that is emptied in no time: a slot is in it when its stamp is the current epoch's. Two bytes a slot,
// so that the stamps of 100,000 slots stay in a core's cache.
class VisitedSet {
 public:
  void start(uint32_t slot_bound) {
    slot_bound_ = slot_bound;
    if (stamps_.size() < size_t{slot_bound} + 1) stamps_.resize(size_t{slot_bound} + 1);
    if (++epoch_ == 0) {
      std::fill(stamps_.begin(), stamps_.end(), uint16_t{0});
      epoch_ = 1;
    }
    stamps_[slot_bound] = epoch_;
  }
  // True when `slot` was not in the set. A slot beyond the bound of start() counts as being in it. No branch: about half of
  // what a search comes upon was seen before, in no order that a processor could guess.
  bool insert(Slot slot) {
    uint16_t& stamp = stamps_[std::min(slot.value, slot_bound_)];
    return std::exchange(stamp, epoch_) != epoch_;
  }

 private:
  uint32_t slot_bound_ = 0;
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
  // Neighbours of the node in hand that were not seen before, and of the one that comes next.
  std::vector<Slot> fresh;
  std::vector<Slot> fresh_next;

  // Makes `fresh` of the targets of a list's words. A word that holds no link leads beyond all bounds.
  template <class Wanted>
  static void find_fresh(std::span<const uint32_t> words, Wanted wanted, std::vector<Slot>& fresh) {
    fresh.resize(words.size());
    size_t count = 0;
    for (const uint32_t& word : words) {
      const Slot slot{Graph::load_link(word) - 1};
      fresh[count] = slot;
      count += wanted(slot) ? 1 : 0;
    }
    fresh.resize(count);
  }

  std::vector<uint8_t> code;  // of a query
  std::vector<uint8_t> short_code;

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
