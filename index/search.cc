// Searching: Malkov & Yashunin, algorithms 2 (one layer) and 5 (the whole graph).
#include <algorithm>
#include <array>
#include <bit>

#include "index/graph.h"
#include "index/search_scratch.h"

namespace vs {
namespace {

constexpr uint32_t kRerankMore = 10;
constexpr uint64_t kLiveShareMin = 64;
constexpr uint64_t kDeadMany = 1024;

}  // namespace

Graph::SearchScratch& Graph::scratch() {
  thread_local SearchScratch instance;
  return instance;
}

Neighbor Graph::descend(const Rows& rows, const void* query, Neighbor from, int layer, SearchTrace* trace) const {
  // A slot may come while a search goes by rows that have no room for it.
  const uint32_t slot_bound = std::min(slot_count(), rows.slots_max);
  SearchScratch& s = scratch();
  uint64_t distances = 0;
  for (bool moved = true; moved;) {
    moved = false;
    if (trace != nullptr) ++trace->hops[static_cast<size_t>(layer)];
    s.find_fresh(
        links(from.slot, layer), [&](Slot slot) { return slot.value < slot_bound && level(slot) >= layer; }, s.fresh);
    s.for_each_fresh(rows, query, [&](Neighbor candidate) {
      if (!(candidate < from)) return;
      from = candidate;
      moved = true;
    });
    distances += s.fresh.size();
  }
  if (trace != nullptr) trace->distances += distances;
  return from;
}

// Leaves the nearest slots, nearest first, in scratch.results. `skip` is neither visited nor returned.
template <bool kOnlyLive>
void Graph::search_layer(const Rows& rows, const void* query, std::span<const Neighbor> entries, uint32_t ef, int layer,
                         Slot skip, SearchScratch& s, SearchTrace* trace, const Rows* reranked) const {
  // Counted first: so no slot that comes meanwhile stands in for a dead one.
  const uint64_t live_slots = live_count();
  const uint32_t slots = slot_count();
  const bool all_live = live_slots == slots;
  const uint32_t slot_bound = std::min(slots, rows.slots_max);
  const size_t list_bytes = geometry().links_in(layer) * sizeof(uint32_t);
  s.visited.start(slot_bound);
  s.pool.start(ef);
  if (skip != kNoSlot) s.visited.insert(skip);

  // Else a damaged word leads there; the slot's row there would be another node's.
  const auto on_layer = [&](Slot slot) { return slot.value < slot_bound && level(slot) >= layer; };
  const auto counts = [this, all_live](Slot slot) { return !kOnlyLive || all_live || live(slot); };
  for (const Neighbor& entry : entries) {
    if (s.visited.insert(entry.slot)) s.pool.offer(entry, counts);
  }

  // False when no node is left to expand.
  const auto take = [&](std::vector<Slot>& fresh) {
    fresh.clear();
    const Slot nearest = s.pool.take();
    if (nearest == kNoSlot) return false;
    if (reranked != nullptr) reranked->prefetch_far(nearest);
    // The list that comes after this one is on its way while this one's distances are computed.
    if (const Slot next = s.pool.next(); next != kNoSlot) prefetch(links(next, layer).data(), list_bytes);
    if (layer == 0) {
      s.find_fresh(
          links(nearest, 0), [&](Slot slot) { return s.visited.insert(slot); }, fresh);
    } else {
      const auto wanted = [&](Slot slot) { return on_layer(slot) && s.visited.insert(slot); };
      s.find_fresh(links(nearest, layer), wanted, fresh);
    }
    rows.prefetch_first(fresh);
    return true;
  };
  uint64_t distances = 0;
  uint32_t hops = 0;
  // A node is expanded while the rows of the next one's neighbours come from memory. What the first leads to comes too late to
  // be taken before the second, which costs about one node more in a search.
  for (bool more = take(s.fresh); more; std::swap(s.fresh, s.fresh_next)) {
    ++hops;
    distances += s.fresh.size();
    more = take(s.fresh_next);
    s.for_each_fresh(rows, query, [&](Neighbor candidate) {
      if (s.pool.offer(candidate, counts)) prefetch(links(candidate.slot, layer).data(), list_bytes);
    });
    if (!more) more = take(s.fresh_next);
  }
  s.pool.results(s.results);
  if (trace != nullptr) {
    trace->distances += distances;
    trace->hops[static_cast<size_t>(layer)] += hops;
  }
}

template void Graph::search_layer<true>(const Rows&, const void*, std::span<const Neighbor>, uint32_t, int, Slot,
                                        SearchScratch&, SearchTrace*, const Rows*) const;
template void Graph::search_layer<false>(const Rows&, const void*, std::span<const Neighbor>, uint32_t, int, Slot,
                                         SearchScratch&, SearchTrace*, const Rows*) const;

bool Graph::exact_pays(uint32_t ef) const {
  return dead_count() > kDeadMany && live_count() <= std::max<uint64_t>(ef, slot_count() / kLiveShareMin);
}

std::vector<Neighbor> Graph::search(const float* query, uint32_t ef, SearchTrace* trace, uint32_t wanted) const {
  const Entry start = entry();
  if (start.level < 0) return {};
  if (trace != nullptr) {
    trace->hops.assign(static_cast<size_t>(start.level) + 1, 0);
    trace->entry = start.slot;
    trace->distances = 1;
    trace->from_short_codes = trace->from_codes = 0;
  }
  SearchScratch& s = scratch();
  const Codes::Use use = codes_.use();
  const Rows& rows = use.rows();
  s.code.resize(rows.bytes);
  bool exact = true;
  const void* const row = codes_.query_row(rows, query, s.code, exact);
  // What the search goes by.
  const Rows& short_rows = use.pca() != nullptr ? use.pca()->rows() : rows;
  const void* short_row = row;
  if (use.pca() != nullptr) {
    s.short_code.resize(short_rows.bytes);
    use.pca()->encode(s.code.data(), s.short_code.data());
    short_row = s.short_code.data();
  }
  const uint32_t pool = use.pca() != nullptr ? std::min(ef + ef / 2, limits::kEfMax) : ef;
  const Neighbor first{short_rows.distance(short_row, start.slot), start.slot};
  Neighbor nearest = first;
  for (int layer = start.level; layer > 0; --layer) nearest = descend(short_rows, short_row, nearest, layer, trace);
  // The entry point is far, so it is expanded only when `nearest` leads nowhere.
  const std::array<Neighbor, 2> entries = {nearest, first};
  search_layer<true>(short_rows, short_row, entries, pool, 0, kNoSlot, s, trace,
                     use.pca() != nullptr ? &rows : nullptr);
  std::vector<Neighbor> results = s.results;
  if (trace != nullptr && use.pca() != nullptr) {
    trace->from_short_codes = trace->distances;
  } else if (trace != nullptr && rows.of_codes != nullptr) {
    trace->from_codes = trace->distances;
  }
  if (use.pca() != nullptr) {
    if (trace != nullptr) {
      trace->distances += results.size();
      trace->from_codes += results.size();
    }
    order_by(rows, row, results);
    results.resize(std::min<size_t>(results.size(), ef));
  }
  // Asked for after the search: what it came upon was counted before. Codes order the nearest nearly right: so the floats
  // of twice as many as are wanted are enough (docs/benchmarks.md, recall under cosine).
  if (rows.of_codes != nullptr && !(exact && codes_.exact())) {
    results.resize(std::min<size_t>(results.size(), std::max(uint64_t{2} * wanted, uint64_t{wanted} + kRerankMore)));
    if (trace != nullptr) trace->distances += results.size();
    order_by(codes_.floats(), query, results);
  }
  return results;
}

void Graph::order_by(const Rows& rows, const void* query, std::vector<Neighbor>& results) const {
  SearchScratch& s = scratch();
  s.fresh.clear();
  for (const Neighbor& result : results) s.fresh.push_back(result.slot);
  results.clear();
  s.for_each_fresh(rows, query, [&](Neighbor ordered) { results.push_back(ordered); });
  std::sort(results.begin(), results.end());
}

// From codes, too, where they tell as much as floats: then both searches give the same numbers.
std::vector<Neighbor> Graph::search_exact(const float* query, uint32_t k, SearchTrace* trace) const {
  std::vector<Neighbor> nearest;
  if (k == 0) return nearest;
  const Codes::Use use = codes_.use();
  SearchScratch& s = scratch();
  s.code.resize(use.rows().bytes);
  bool exact = true;
  const void* row = codes_.query_row(use.rows(), query, s.code, exact);
  const bool from_codes = exact && codes_.exact();
  const Rows& rows = from_codes ? use.rows() : codes_.floats();
  if (!from_codes) row = query;
  const uint32_t count = slot_count();
  uint64_t distances = 0;
  const auto offer = [&](Slot slot) {
    const Neighbor candidate{rows.distance(row, slot), slot};
    ++distances;
    if (nearest.size() < k) {
      nearest.push_back(candidate);
    } else if (candidate < nearest.front()) {
      std::pop_heap(nearest.begin(), nearest.end());
      nearest.back() = candidate;
    } else {
      return;
    }
    std::push_heap(nearest.begin(), nearest.end());
  };
  for (uint32_t first = 0; first < count; first += 64) {
    uint64_t lives = live_[first / 64].load(std::memory_order_acquire);  // pairs with set()
    for (; lives != 0; lives &= lives - 1) {
      const Slot slot{first + static_cast<uint32_t>(std::countr_zero(lives))};
      if (slot.value < count) offer(slot);
    }
  }
  std::sort_heap(nearest.begin(), nearest.end());
  if (trace != nullptr) {
    trace->distances += distances;
    trace->from_codes += from_codes ? distances : 0;
  }
  // One came meanwhile that is off the grid.
  if (from_codes && !codes_.exact()) return search_exact(query, k, trace);
  return nearest;
}

}  // namespace vs
