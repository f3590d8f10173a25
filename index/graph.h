// The HNSW graph (Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
// Navigable Small World graphs", 2016/2018) over memory that somebody else keeps: heap in tests, mapped files in
// storage/.
//
// Concurrency
//   Searches take no lock. They load link words with acquire; a word is stored with release after the target's vector
//   and own links are complete, so whatever a search reaches is whole. It may see a list in the middle of a rewrite:
//   old and new words mixed, each of them valid. Insertions of different slots run in parallel. A list is changed under
//   the mutex of its slot's stripe; a thread holds one stripe at a time and acquires nothing under it. Only a node that
//   rises above the present top takes top_mutex_, for its whole insertion, so that two of them do not miss each other.
//   One thread at a time calls extend().
//
// A slot's life: extend() makes it exist (no links, not live) → insert() links it (traversed, not returned) → publish()
// (live: returned) → retract() (dead: traversed as long as lists lead to it, not returned, for the rest of the
// generation). The vacuum takes the dead out of the lists (vacuum.h).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "index/chunked.h"
#include "index/codes.h"
#include "index/distance.h"
#include "index/geometry.h"
#include "index/types.h"

namespace vs {

struct GraphConfig {
  Geometry geometry;
  Metric metric = Metric::kL2;
  uint32_t ef_construction = limits::kEfConstructionDefault;
  bool pca = false;  // short codes for searches, too, if there are codes
};

// Addresses stay for the graph's lifetime; what lies beyond the slots given to extend() need not be backed.
// Contents as geometry.h says; under Metric::kCosine the vectors are of unit length.
struct GraphMemory {
  const std::byte* vectors = nullptr;
  uint32_t* links0 = nullptr;
  uint32_t* upper = nullptr;
  std::byte* codes = nullptr;  // null: there are none
};

// What one search did.
struct SearchTrace {
  uint64_t distances = 0;         // computed
  uint64_t from_short_codes = 0;  // of them
  uint64_t from_codes = 0;        // of them; all others are from floats
  std::vector<uint32_t> hops;     // nodes expanded on each layer, layer 0 first
  Slot entry = kNoSlot;
};

struct Neighbor {
  float distance = 0;  // as the index orders: see index_distance()
  Slot slot;
  // Ties go to the older slot.
  friend bool operator<(const Neighbor& a, const Neighbor& b) {
    return a.distance < b.distance || (a.distance == b.distance && a.slot < b.slot);
  }
};

class Graph {
 public:
  struct Entry {
    Slot slot = kNoSlot;
    int level = -1;  // -1: the graph is empty
  };

  // REQUIRES: slots_max <= Geometry::kSlotsMax.
  Graph(const GraphConfig& config, GraphMemory memory, uint32_t slots_max);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  const GraphConfig& config() const { return config_; }
  const Geometry& geometry() const { return config_.geometry; }
  uint32_t slot_count() const { return slot_count_.load(std::memory_order_acquire); }  // pairs with extend()
  uint64_t upper_rows() const { return upper_rows_; }
  // Of the slots, also of those that are not live. REQUIRES: 0 <= layer <= limits::kLayerMax.
  uint32_t slots_on(int layer) const { return slots_on_[static_cast<size_t>(layer)].load(std::memory_order_relaxed); }
  // Read before a slot_count() that follows it.
  uint64_t live_count() const { return live_count_.load(std::memory_order_acquire); }
  // Those that are neither live nor dead are about to be linked.
  uint64_t dead_count() const { return dead_count_.load(std::memory_order_relaxed); }
  Entry entry() const;

  int level(Slot slot) const { return static_cast<int>(nodes_[slot.value] >> kRowBits); }
  const float* vector(Slot slot) const {
    return reinterpret_cast<const float*>(memory_.vectors + slot.value * geometry().vector_stride());
  }
  // REQUIRES: layer <= level(slot). Words are read and written through load_link() and store_link() only.
  std::span<uint32_t> links(Slot slot, int layer) const {
    if (layer == 0) return {memory_.links0 + size_t{slot.value} * geometry().m0(), geometry().m0()};
    const size_t row = size_t{nodes_[slot.value] & kRowMask} + static_cast<size_t>(layer - 1);
    return {memory_.upper + row * geometry().m, geometry().m};
  }
  // std::atomic_ref<const T> comes only with C++26; the words lie in writable memory in every mode of use.
  static uint32_t load_link(const uint32_t& word) {
    return std::atomic_ref<uint32_t>(const_cast<uint32_t&>(word))
        .load(std::memory_order_acquire);  // pairs with store_link()
  }
  static void store_link(uint32_t& word, uint32_t value) {
    std::atomic_ref<uint32_t>(word).store(value, std::memory_order_release);  // pairs with load_link()
  }

  // Makes slots slot_count()..slot_count-1 exist. REQUIRES: memory for them is backed, their links are 0 (or, in
  // recovery, scrubbed) and their vectors are written.
  void extend(uint32_t slot_count);
  // Links `slot`, algorithm 1. What links it has already remain, as far as they are good. REQUIRES: extend() covers it;
  // not called for one slot at the same time. `trace` is of its search and may be null. `replaced` is what the caller will
  // retract once `slot` is published.
  void insert(Slot slot, SearchTrace* trace = nullptr, Slot replaced = kNoSlot);
  // Tells the graph that `slot` is linked already (it was opened from files).
  void adopt(Slot slot);
  void publish(Slot slot);
  // `successor`, when there is one, is what was inserted in its place and is published.
  void retract(Slot slot, Slot successor = kNoSlot);
  bool live(Slot slot) const { return test(live_, slot); }
  bool dead(Slot slot) const { return test(dead_, slot); }
  // Rises with every event by which a list may have come to hold a link to a dead slot: a retract(), or an insertion
  // that linked to one.
  uint64_t dead_link_events() const { return dead_link_events_.load(std::memory_order_acquire); }

  // How many slots became live since the beginning, those that died since included.
  uint64_t publications() const { return publications_.load(std::memory_order_acquire); }

  // The `ef` nearest live slots that the graph search finds (algorithms 2 and 5), nearest first. Slots that are not
  // live are traversed, but take no place among the ef. `query` has dim floats, unit length for cosine. `trace` may be
  // null. When there are codes that do not tell all, somewhat more than `wanted` of the ef are ordered by their floats, and
  // these are returned.
  std::vector<Neighbor> search(const float* query, uint32_t ef, SearchTrace* trace = nullptr,
                               uint32_t wanted = limits::kEfMax) const;
  // Whether so few of the slots live that search() costs more than search_exact(): its pool would have to hold the dead between
  // the live, and each of them moves half of the others.
  bool exact_pays(uint32_t ef) const;
  // The k nearest live slots, by looking at all of them.
  std::vector<Neighbor> search_exact(const float* query, uint32_t k, SearchTrace* trace = nullptr) const;

  // Of the floats.
  float distance(const float* query, Slot slot) const { return codes_.floats().distance(query, slot); }
  Codes& codes() { return codes_; }
  const Codes& codes() const { return codes_; }
  // Codes::encode_all() and learn_pca() from all that are not dead: also from what waits to be linked, since an import may be
  // far ahead of its links.
  void encode_all() {
    codes_.encode_all([this](Slot slot) { return !dead(slot); });
  }
  void learn_pca() {
    codes_.learn_pca([this](Slot slot) { return !dead(slot); });
  }

 private:
  friend class Auditor;
  friend class Vacuum;

  struct NearestLast;
  struct SearchScratch;
  static SearchScratch& scratch();

  // Of all that follow: `rows` is what distances are computed from, `query` a row of that kind.
  Neighbor descend(const Rows& rows, const void* query, Neighbor from, int layer, SearchTrace* trace) const;
  template <bool kOnlyLive>
  void search_layer(const Rows& rows, const void* query, std::span<const Neighbor> entries, uint32_t ef, int layer,
                    Slot skip, SearchScratch& scratch, SearchTrace* trace, const Rows* reranked = nullptr) const;

  void order_by(const Rows& rows, const void* query, std::vector<Neighbor>& results) const;

  std::vector<Neighbor> select_neighbors(const Rows& rows, std::span<const Neighbor> nearest_first, uint32_t count,
                                         std::vector<Neighbor> kept = {}) const;
  void prefer_live(std::vector<Neighbor>& nearest_first) const;
  bool add_link(const Rows& rows, Slot from, int layer, Neighbor to);
  bool replace_pruned(const Rows& rows, Slot from, int layer, Neighbor to, std::span<uint32_t> words);
  void link(const Rows& rows, Slot slot, SearchTrace* trace, Slot replaced);
  void link_from_chosen(const Rows& rows, std::span<const Neighbor> chosen, Slot slot);
  bool same_vector(Slot a, Slot b) const;
  Slot last_equal(std::span<const Neighbor> nearest_first, Slot slot) const;
  void link_beside(const Rows& rows, Slot old, Slot slot);
  void hand_over(Slot old, Slot slot);
  void link_behind(const Rows& rows, Slot twin, Slot slot);
  void keep_only_ways_in(std::span<const Neighbor> candidates, Slot from, Slot without,
                         std::vector<Neighbor>& kept) const;
  bool has_way_in(Slot slot, Slot except) const;
  void lead_to(const Rows& rows, Slot from, Slot to);
  void replace_farthest_link(const Rows& rows, Slot from, Slot to);
  void link_from_any(const Rows& rows, std::span<const Neighbor> nearest_first, Slot to);
  void raise_entry(Slot slot);
  std::mutex& stripe(Slot slot) { return stripes_[slot.value % stripes_.size()]; }
  // One bit a slot.
  using Bitmap = ChunkedArray<std::atomic<uint64_t>>;
  static bool test(const Bitmap& bitmap, Slot slot) {
    return (bitmap[slot.value / 64].load(std::memory_order_acquire) >> (slot.value % 64) & 1) != 0;
  }
  static bool set(Bitmap& bitmap, Slot slot);
  static bool clear(Bitmap& bitmap, Slot slot);
  // A list on layer 0 does not lead to `slot` any more: searches may miss it.
  void lost_link(Slot slot);

  // nodes_[slot]: level in the upper bits, first row in `upper` in the lower ones.
  static constexpr int kRowBits = 28;
  static constexpr uint32_t kRowMask = (1u << kRowBits) - 1;

  Codes codes_;
  const GraphConfig config_;
  const GraphMemory memory_;
  ChunkedArray<uint32_t> nodes_;
  Bitmap live_;
  Bitmap dead_;
  Bitmap doubtful_;  // those of lost_link(), until the vacuum looks
  uint64_t upper_rows_ = 0;
  std::array<std::atomic<uint32_t>, limits::kLayerMax + 1> slots_on_{};
  std::atomic<uint32_t> slot_count_{0};
  std::atomic<uint64_t> live_count_{0};
  std::atomic<uint64_t> dead_count_{0};
  std::atomic<uint64_t> dead_link_events_{0};
  std::atomic<uint64_t> publications_{0};
  std::atomic<uint64_t> entry_;  // slot in the low half, level + 1 in the high half
  std::mutex top_mutex_;
  std::array<std::mutex, 1024> stripes_;
};

}  // namespace vs
