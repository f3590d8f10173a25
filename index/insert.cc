// Insertion: Malkov & Yashunin, algorithm 1, with the diversity heuristic of algorithm 4 (without extension of the
// candidates and without refilling from the discarded) for a new node's links and again when a full list is pruned.
//
// Order of writes. Neighbours on all layers are chosen first, then the node's own links are written on all layers, then
// the neighbours' links to it from layer 0 upward, then the entry point. So whoever reaches the node, on any layer,
// finds its way on from there. (Linking layer by layer from the top, as published, lets a search descend through a node
// that has no links on the layer below yet; hnswlib locks the node meanwhile, which a lock-free reader cannot honour.)
//
// On each layer the entry point is one more start of the search. It is far away and hardly ever expanded; but after a
// crash a node may have lost its links on a layer, and an insertion that came upon it and linked to it alone would make
// an island of the two.
#include <algorithm>
#include <array>
#include <cstring>

#include "index/graph.h"
#include "index/search_scratch.h"

namespace vs {

// While a thread is not given the processor, others may link a whole graph: what it has chosen is not near then. So it
// chooses anew when the graph has grown to more than twice what it was.
void Graph::insert(Slot slot, SearchTrace* trace, Slot replaced) {
  uint64_t before = 0;
  do {
    before = live_count();
    const Codes::Use use = codes_.use();
    link(use.rows(), slot, trace, replaced);
  } while (live_count() > 2 * before + 1);
}

void Graph::link(const Rows& rows, Slot slot, SearchTrace* trace, Slot replaced) {
  const int node_level = level(slot);
  Entry start = entry();
  std::unique_lock<std::mutex> top(top_mutex_, std::defer_lock);
  if (node_level > start.level) {
    top.lock();
    start = entry();
  }
  if (start.level < 0) {
    raise_entry(slot);
    return;
  }

  if (trace != nullptr) trace->hops.assign(static_cast<size_t>(start.level) + 1, 0);
  const void* query = rows.row(slot);
  const Neighbor first{rows.distance(query, start.slot), start.slot};
  Neighbor nearest = first;
  for (int layer = start.level; layer > node_level; --layer) nearest = descend(rows, query, nearest, layer, trace);

  SearchScratch& s = scratch();
  // A start that is skipped leads nowhere. (A first slot, or one that rose to the top, may be linked anew.)
  const Slot skip = start.slot == slot ? kNoSlot : slot;
  std::array<std::vector<Neighbor>, limits::kLayerMax + 1> chosen;
  std::vector<Neighbor> entries = {nearest, first};
  const int top_layer = std::min(node_level, start.level);
  // Not one that is not linked yet (a rebuild's).
  const bool replaces_equal = replaced != kNoSlot && live(replaced) && same_vector(replaced, slot);
  for (int layer = top_layer; layer >= (replaces_equal ? 1 : 0); --layer) {
    // The last search begins where one for this vector will begin: see link_from_chosen().
    nearest = layer > 0 ? descend(rows, query, nearest, layer, trace) : nearest;
    if (layer == 0) entries = {nearest, first};
    search_layer<false>(rows, query, entries, config_.ef_construction, layer, skip, s, trace);
    std::erase_if(s.results, [slot](const Neighbor& n) { return n.slot == slot; });
    if (!s.results.empty()) entries.assign(s.results.begin(), s.results.end());
    entries.push_back(first);
    prefer_live(s.results);
    chosen[static_cast<size_t>(layer)] = select_neighbors(rows, s.results, geometry().m);
  }
  const Slot twin = replaces_equal ? kNoSlot : last_equal(s.results, slot);

  for (int layer = 0; layer <= top_layer; ++layer) {
    for (const Neighbor& neighbor : chosen[static_cast<size_t>(layer)]) add_link(rows, slot, layer, neighbor);
  }
  if (replaces_equal) link_beside(rows, replaced, slot);
  if (twin != kNoSlot) link_behind(rows, twin, slot);
  if (!replaces_equal && twin == kNoSlot) link_from_chosen(rows, chosen[0], slot);
  for (int layer = 1; layer <= top_layer; ++layer) {
    for (const Neighbor& neighbor : chosen[static_cast<size_t>(layer)]) {
      add_link(rows, neighbor.slot, layer, {neighbor.distance, slot});
    }
  }
  raise_entry(slot);
}

// Ways to `slot` on layer 0. They may all have better links than this one, or a search for it may not come by those that
// have not, since it looks at fewer than an insertion. REQUIRES: scratch.pool is of the search that `chosen` are from.
void Graph::link_from_chosen(const Rows& rows, std::span<const Neighbor> chosen, Slot slot) {
  std::vector<Neighbor> early = scratch().pool.taken_early();
  bool found_at_once = false;
  for (const Neighbor& neighbor : chosen) {
    const bool linked = add_link(rows, neighbor.slot, 0, {neighbor.distance, slot});
    found_at_once |= linked && std::any_of(early.begin(), early.end(),
                                           [&](const Neighbor& taken) { return taken.slot == neighbor.slot; });
  }
  if (found_at_once) return;
  std::erase_if(early, [slot](const Neighbor& n) { return n.slot == slot; });
  std::sort(early.begin(), early.end());
  prefer_live(early);
  link_from_any(rows, early, slot);
}

// Links to the dead are the vacuum's work to take away again, so the dead are left out where m live ones were found.
// Else they come last, as a way in and out. (To search on until m live ones are found costs 1/share of the live: at 99%
// dead, a hundred times as much. The vacuum finds them anyway, and once.)
void Graph::prefer_live(std::vector<Neighbor>& nearest_first) const {
  const auto dead_begin = std::stable_partition(nearest_first.begin(), nearest_first.end(),
                                                [&](const Neighbor& n) { return !dead(n.slot); });
  if (dead_begin - nearest_first.begin() >= geometry().m) nearest_first.erase(dead_begin, nearest_first.end());
}

bool Graph::same_vector(Slot a, Slot b) const {
  return std::memcmp(vector(a), vector(b), geometry().dim * sizeof(float)) == 0;
}

// On layer 0 `slot` leads where `old` does, whose vector it has, and `old` leads to it.
void Graph::link_beside(const Rows& rows, Slot old, Slot slot) {
  const uint32_t slot_bound = slot_count();
  for (const uint32_t& word : links(old, 0)) {
    const uint32_t link = load_link(word);
    if (link == 0 || link > slot_bound || link == slot.value + 1) continue;
    add_link(rows, slot, 0, {rows.distance(slot, Slot{link - 1}), Slot{link - 1}});
  }
  std::lock_guard<std::mutex> lock(stripe(old));
  lead_to(rows, old, slot);
}

// What leads to `old`, as far as `slot` leads there, leads to `slot` from now on. So a point that is written again and
// again with the same vector does not come to lie behind its own dead: with those as its only ways in, the vacuum hid it
// now and then. Whoever leads to `old` alone, or is on it, goes on from there.
void Graph::hand_over(Slot old, Slot slot) {
  const uint32_t slot_bound = slot_count();
  for (const uint32_t& neighbor : links(slot, 0)) {
    const uint32_t link = load_link(neighbor);
    if (link == 0 || link > slot_bound || link == old.value + 1) continue;
    const std::span<uint32_t> words = links(Slot{link - 1}, 0);
    const auto word_of = [words](Slot target) {
      return std::find_if(words.begin(), words.end(), [&](uint32_t& w) { return load_link(w) == target.value + 1; });
    };
    std::lock_guard<std::mutex> lock(stripe(Slot{link - 1}));
    const auto word = word_of(old);
    if (word != words.end() && word_of(slot) == words.end()) store_link(*word, slot.value + 1);
  }
}

// The last of the slots at the head of `nearest_first` whose vectors equal that of `slot`, a live one if there is one;
// kNoSlot if there is none.
Slot Graph::last_equal(std::span<const Neighbor> nearest_first, Slot slot) const {
  Slot last = kNoSlot;
  for (const Neighbor& neighbor : nearest_first) {
    if (!same_vector(neighbor.slot, slot)) break;
    if (last == kNoSlot || live(neighbor.slot) || !live(last)) last = neighbor.slot;
  }
  return last;
}

// Equal vectors form a chain on layer 0: to all other nodes they are one, so a list holds one of them, and each leads
// to the next. `slot` becomes the next of `twin`, and before that leads to the one that was. The link from twin has the
// smallest distance there is (not under Metric::kDot, where the audit has to help), so pruning keeps it.
void Graph::link_behind(const Rows& rows, Slot twin, Slot slot) {
  const std::span<uint32_t> words = links(twin, 0);
  const auto next_of_twin = [&] {
    const uint32_t slot_bound = slot_count();
    return std::find_if(words.begin(), words.end(), [&](const uint32_t& word) {
      const uint32_t link = load_link(word);
      return link != 0 && link <= slot_bound && same_vector(Slot{link - 1}, slot);
    });
  };
  for (;;) {
    const auto seen = next_of_twin();
    const uint32_t next = seen == words.end() ? 0 : load_link(*seen);
    if (next == slot.value + 1) return;  // it is linked anew
    if (next != 0) {
      std::lock_guard<std::mutex> lock(stripe(slot));
      lead_to(rows, slot, Slot{next - 1});
    }
    std::lock_guard<std::mutex> lock(stripe(twin));
    const auto place = next_of_twin();
    if ((place == words.end() ? 0 : load_link(*place)) != next) continue;  // another one came between
    if (next == 0) {
      lead_to(rows, twin, slot);
    } else {
      store_link(*place, slot.value + 1);
    }
    return;
  }
}

// Links to `to` on layer 0 whatever `from` has there, if it does not yet. REQUIRES: the stripe of `from` is held.
void Graph::lead_to(const Rows& rows, Slot from, Slot to) {
  const std::span<uint32_t> words = links(from, 0);
  const auto leads_there = [&](const uint32_t& word) { return load_link(word) == to.value + 1; };
  if (std::any_of(words.begin(), words.end(), leads_there)) return;
  replace_farthest_link(rows, from, to);
  if (dead(to)) ++dead_link_events_;
}

// Keeps a candidate when it is nearer to the base than to every one kept before: links in several directions instead of
// into one cluster. Equal vectors tie in this comparison; they get half of the places at most, or a list would soon
// hold nothing else and the equal ones would be an island. What is in `kept` at the beginning stays.
std::vector<Neighbor> Graph::select_neighbors(const Rows& rows, std::span<const Neighbor> nearest_first, uint32_t count,
                                              std::vector<Neighbor> kept) const {
  kept.reserve(count);
  uint32_t ties = 0;
  for (const Neighbor& candidate : nearest_first) {
    if (kept.size() >= count) break;
    const std::byte* candidate_row = rows.row(candidate.slot);
    bool tied = false;
    const bool nearer_to_other = std::any_of(kept.begin(), kept.end(), [&](const Neighbor& other) {
      const float d = rows.distance(candidate_row, other.slot);
      tied |= d == candidate.distance;
      return d < candidate.distance;
    });
    if (nearer_to_other || (tied && ties >= count / 2)) continue;
    ties += tied ? 1 : 0;
    kept.push_back(candidate);
  }
  return kept;
}

// Returns whether `from` links to `to` afterwards.
bool Graph::add_link(const Rows& rows, Slot from, int layer, Neighbor to) {
  std::lock_guard<std::mutex> lock(stripe(from));
  const std::span<uint32_t> words = links(from, layer);
  uint32_t* empty = nullptr;
  for (uint32_t& word : words) {
    const uint32_t link = load_link(word);
    if (link == to.slot.value + 1) return true;
    if (link == 0 && empty == nullptr) empty = &word;
  }
  const bool linked = empty != nullptr || replace_pruned(rows, from, layer, to, words);
  if (empty != nullptr) store_link(*empty, to.slot.value + 1);
  if (linked && dead(to.slot)) ++dead_link_events_;
  return linked;
}

// Chooses anew among the links of a full list and `to`. Only words that change are written: survivors keep their place.
// REQUIRES: the stripe of `from` is held.
bool Graph::replace_pruned(const Rows& rows, Slot from, int layer, Neighbor to, std::span<uint32_t> words) {
  const std::byte* base = rows.row(from);
  const uint32_t slot_bound = slot_count();
  std::vector<Neighbor> candidates;
  candidates.reserve(words.size() + 1);
  candidates.push_back(to);
  for (size_t i = 0; i < words.size(); ++i) {
    const uint32_t link = load_link(words[i]);
    if (link == 0 || link > slot_bound || link == from.value + 1) continue;
    if (i + 1 < words.size()) {
      const uint32_t next = load_link(words[i + 1]);
      if (next != 0 && next <= slot_bound) rows.prefetch(Slot{next - 1});
    }
    candidates.push_back({rows.distance(base, Slot{link - 1}), Slot{link - 1}});
  }
  std::sort(candidates.begin(), candidates.end());
  std::vector<Neighbor> kept = select_neighbors(rows, candidates, geometry().links_in(layer));

  if (layer == 0) keep_only_ways_in(candidates, from, to.slot, kept);
  const auto drop = [&kept](Slot slot) {
    const auto found = std::find_if(kept.begin(), kept.end(), [&](const Neighbor& k) { return k.slot == slot; });
    if (found == kept.end()) return false;
    kept.erase(found);
    return true;
  };
  if (!drop(to.slot)) return false;
  bool placed = false;
  for (uint32_t& word : words) {
    const uint32_t link = load_link(word);
    if (link != 0 && drop(Slot{link - 1})) continue;
    if (layer == 0 && link != 0 && link <= slot_bound) lost_link(Slot{link - 1});
    store_link(word, placed ? 0 : to.slot.value + 1);
    placed = true;
  }
  return true;
}

// Adds those of `candidates` to `kept` that would lose their only way in, as far as there is room. Two threads that drop
// the last two ways at the same moment are left to the audit (1 of 16,000 nodes after a build with two threads; without
// this rule 14).
void Graph::keep_only_ways_in(std::span<const Neighbor> candidates, Slot from, Slot without,
                              std::vector<Neighbor>& kept) const {
  for (const Neighbor& candidate : candidates) {
    if (kept.size() >= geometry().m0()) return;
    if (candidate.slot == without) continue;
    const bool selected =
        std::any_of(kept.begin(), kept.end(), [&](const Neighbor& k) { return k.slot == candidate.slot; });
    if (!selected && !dead(candidate.slot) && !has_way_in(candidate.slot, from)) kept.push_back(candidate);
  }
}

// Whether one of those that `slot` links to on layer 0, other than `except` and the dead, links back. Nearly every link
// has its like in the other direction, so these are nearly all ways to the slot, and need no count of their own.
bool Graph::has_way_in(Slot slot, Slot except) const {
  const uint32_t slot_bound = slot_count();
  const auto links_back = [&](const uint32_t& word) {
    const uint32_t link = load_link(word);
    if (link == 0 || link > slot_bound || link == except.value + 1 || dead(Slot{link - 1})) return false;
    const std::span<uint32_t> back = links(Slot{link - 1}, 0);
    return std::any_of(back.begin(), back.end(), [&](const uint32_t& b) { return load_link(b) == slot.value + 1; });
  };
  const std::span<uint32_t> words = links(slot, 0);
  return std::any_of(words.begin(), words.end(), links_back);
}

// Links to `to` from the nearest of `nearest_first` that has room on layer 0, else in place of the farthest link of the
// nearest one. What loses its last way in by this is found by the audit (audit.h).
void Graph::link_from_any(const Rows& rows, std::span<const Neighbor> nearest_first, Slot to) {
  for (const Neighbor& neighbor : nearest_first) {
    const std::span<uint32_t> words = links(neighbor.slot, 0);
    const bool room =
        std::any_of(words.begin(), words.end(), [](const uint32_t& word) { return load_link(word) == 0; });
    // Another thread may take the room first; then the list is pruned, and may leave this one out.
    if (room && add_link(rows, neighbor.slot, 0, {neighbor.distance, to})) return;
  }
  if (nearest_first.empty()) return;

  const Slot from = nearest_first.front().slot;
  std::lock_guard<std::mutex> lock(stripe(from));
  replace_farthest_link(rows, from, to);
}

// In place of the farthest link on layer 0 whose target has another way in, or of a word that holds no link. REQUIRES: the
// stripe of `from` is held.
void Graph::replace_farthest_link(const Rows& rows, Slot from, Slot to) {
  const std::byte* base = rows.row(from);
  const uint32_t slot_bound = slot_count();
  uint32_t* farthest = nullptr;
  std::pair<bool, float> farthest_rank;
  for (uint32_t& word : links(from, 0)) {
    const uint32_t link = load_link(word);
    if (link == 0 || link > slot_bound) {
      store_link(word, to.value + 1);
      return;
    }
    const Slot target{link - 1};
    const std::pair rank{dead(target) || has_way_in(target, from), rows.distance(base, target)};
    if (farthest == nullptr || rank > farthest_rank) {
      farthest = &word;
      farthest_rank = rank;
    }
  }
  lost_link(Slot{load_link(*farthest) - 1});
  store_link(*farthest, to.value + 1);
}

}  // namespace vs
