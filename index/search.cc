// Searching: Malkov & Yashunin, algorithms 2 (one layer) and 5 (the whole graph).
#include <algorithm>
#include <array>
#include <limits>

#include "index/graph.h"
#include "index/search_scratch.h"

namespace vs {

Graph::SearchScratch& Graph::scratch() {
  thread_local SearchScratch instance;
  return instance;
}

float Graph::distance(const float* query, Slot slot) const {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const float d = distance_(query, vector(slot), geometry().dim);
  // Components near the end of float's range make sums that are infinite or NaN; neither may reach an ordering.
  if (d < kLargest) return d > -kLargest ? d : -kLargest;
  return kLargest;
}

Neighbor Graph::descend(const float* query, Neighbor from, int layer, SearchTrace* trace) const {
  const uint32_t slot_bound = slot_count();
  uint64_t distances = 0;
  for (bool moved = true; moved;) {
    moved = false;
    if (trace != nullptr) ++trace->hops[static_cast<size_t>(layer)];
    for (const uint32_t& word : links(from.slot, layer)) {
      const uint32_t link = load_link(word);
      if (link == 0 || link > slot_bound) continue;
      const Slot slot{link - 1};
      if (level(slot) < layer) continue;  // only a damaged word leads there; its row there would be another node's
      const Neighbor candidate{distance(query, slot), slot};
      ++distances;
      if (candidate < from) {
        from = candidate;
        moved = true;
      }
    }
  }
  if (trace != nullptr) trace->distances += distances;
  return from;
}

// Leaves the nearest slots, nearest first, in scratch.results. `skip` is neither visited nor returned.
template <bool kOnlyLive>
void Graph::search_layer(const float* query, std::span<const Neighbor> entries, uint32_t ef, int layer, Slot skip,
                         SearchScratch& s, SearchTrace* trace) const {
  const uint32_t slot_bound = slot_count();
  const size_t stride = geometry().vector_stride();
  s.visited.start(slot_bound);
  s.frontier.clear();
  s.results.clear();
  if (skip != kNoSlot) s.visited.insert(skip);

  const auto offer = [&](Neighbor candidate) {
    const bool full = s.results.size() >= ef;
    if (full && !(candidate < s.results.front())) return;
    s.frontier.push_back(candidate);
    std::push_heap(s.frontier.begin(), s.frontier.end(), NearestFirst());
    if (kOnlyLive && !live(candidate.slot)) return;
    if (full) {
      std::pop_heap(s.results.begin(), s.results.end());
      s.results.back() = candidate;
    } else {
      s.results.push_back(candidate);
    }
    std::push_heap(s.results.begin(), s.results.end());
  };
  for (const Neighbor& entry : entries) {
    if (s.visited.insert(entry.slot)) offer(entry);
  }

  uint64_t distances = 0;
  uint32_t hops = 0;
  while (!s.frontier.empty()) {
    std::pop_heap(s.frontier.begin(), s.frontier.end(), NearestFirst());
    const Neighbor nearest = s.frontier.back();
    s.frontier.pop_back();
    if (s.results.size() >= ef && s.results.front() < nearest) break;
    ++hops;

    // First all that is new, then their distances: the memory of the next vector is asked for while one is computed.
    s.fresh.clear();
    for (const uint32_t& word : links(nearest.slot, layer)) {
      const uint32_t link = load_link(word);
      if (link == 0 || link > slot_bound) continue;
      const Slot slot{link - 1};
      if (level(slot) < layer || !s.visited.insert(slot)) continue;
      s.fresh.push_back(slot);
    }
    for (size_t i = 0; i < std::min(kPrefetchAhead, s.fresh.size()); ++i) prefetch(vector(s.fresh[i]), stride);
    for (size_t i = 0; i < s.fresh.size(); ++i) {
      if (i + kPrefetchAhead < s.fresh.size()) prefetch(vector(s.fresh[i + kPrefetchAhead]), stride);
      offer({distance(query, s.fresh[i]), s.fresh[i]});
    }
    distances += s.fresh.size();
  }
  std::sort_heap(s.results.begin(), s.results.end());
  if (trace != nullptr) {
    trace->distances += distances;
    trace->hops[static_cast<size_t>(layer)] += hops;
  }
}

template void Graph::search_layer<true>(const float*, std::span<const Neighbor>, uint32_t, int, Slot, SearchScratch&,
                                        SearchTrace*) const;
template void Graph::search_layer<false>(const float*, std::span<const Neighbor>, uint32_t, int, Slot, SearchScratch&,
                                         SearchTrace*) const;

std::vector<Neighbor> Graph::search(const float* query, uint32_t ef, SearchTrace* trace) const {
  const Entry start = entry();
  if (start.level < 0) return {};
  if (trace != nullptr) {
    trace->hops.assign(static_cast<size_t>(start.level) + 1, 0);
    trace->entry = start.slot;
    trace->distances = 1;
  }
  const Neighbor first{distance(query, start.slot), start.slot};
  Neighbor nearest = first;
  for (int layer = start.level; layer > 0; --layer) nearest = descend(query, nearest, layer, trace);
  // The entry point is far, so it is expanded only when `nearest` leads nowhere.
  const std::array<Neighbor, 2> entries = {nearest, first};
  SearchScratch& s = scratch();
  search_layer<true>(query, entries, ef, 0, kNoSlot, s, trace);
  return s.results;
}

std::vector<Neighbor> Graph::search_exact(const float* query, uint32_t k, SearchTrace* trace) const {
  std::vector<Neighbor> nearest;
  if (k == 0) return nearest;
  const uint32_t count = slot_count();
  uint64_t distances = 0;
  for (Slot slot{0}; slot.value < count; ++slot.value) {
    if (!live(slot)) continue;
    const Neighbor candidate{distance(query, slot), slot};
    ++distances;
    if (nearest.size() < k) {
      nearest.push_back(candidate);
    } else if (candidate < nearest.front()) {
      std::pop_heap(nearest.begin(), nearest.end());
      nearest.back() = candidate;
    } else {
      continue;
    }
    std::push_heap(nearest.begin(), nearest.end());
  }
  std::sort_heap(nearest.begin(), nearest.end());
  if (trace != nullptr) trace->distances += distances;
  return nearest;
}

}  // namespace vs
