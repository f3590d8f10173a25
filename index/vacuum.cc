// A list is read and chosen anew without a lock; then, under its stripe, it is compared with what was read, and the
// words that led to the dead are overwritten one by one. So a writer waits for a few stores at most, and a reader sees
// links of which each is valid. Somebody who changed the list meanwhile has the list looked at again.
#include "index/vacuum.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "index/audit.h"
#include "index/search_scratch.h"

namespace vs {
namespace {

// Slots looked at for one list: where one in a thousand is alive they yield some. As many vectors of 784 dimensions from
// memory take about 6 ms. When none is found the links to the dead stay: they are still the way to whatever lives behind
// them.
constexpr size_t kLookMax = 16'384;

// All are searched for when one in so many died or is new: so at most that many searches a change.
constexpr uint64_t kSearchForAllShare = 16;

// Rounds of searching for those that lost a way in. Each has few to do; two points that take the same word from each other
// in turns would go on for ever.
constexpr int kFindRoundsMax = 4;

constexpr float kRounding = 1e-5f;

}  // namespace

struct Vacuum::List {
  std::vector<uint32_t> words;  // as they were read
  std::vector<Neighbor> kept;   // links to what is not dead
  std::vector<Neighbor> dead;   // in the order of the words
};

void Vacuum::step(uint32_t slots) {
  const std::unique_lock<std::mutex> lock = hold();
  switch (phase_) {
    case Phase::kIdle:
      if (due()) begin();
      break;
    case Phase::kClean:
      clean(slots);
      break;
    case Phase::kFind:
      find(slots);
      break;
    case Phase::kAudit:
      count_relinked(relink_unreachable(graph_));
      end();
      break;
  }
}

void Vacuum::begin() {
  phase_ = dead_links() != 0 ? Phase::kClean : Phase::kFind;
  next_ = Slot{0};
  round_ = 0;
  relinked_before_ = relinked_;
  events_at_begin_ = graph_.dead_link_events();
  publications_at_begin_ = graph_.publications();
  passed_over_ = false;
  if ((changes() - changes_at_search_for_all_) * kSearchForAllShare < graph_.live_count()) return;
  changes_at_search_for_all_ = changes();
  for (uint32_t word = 0; word <= graph_.slot_count() / 64; ++word) graph_.doubtful_[word] |= graph_.live_[word];
}

void Vacuum::clean(uint32_t slots) {
  const uint32_t count = graph_.slot_count();
  for (const uint32_t end = next_.value + std::min(slots, count - next_.value); next_.value < end; ++next_.value) {
    if (!graph_.live(next_) && next_ != graph_.entry().slot) {
      passed_over_ |= !graph_.dead(next_);
      continue;
    }
    for (int layer = 0; layer <= graph_.level(next_); ++layer) clean(next_, layer);
  }
  if (next_.value < count) return;
  phase_ = Phase::kFind;
  next_ = Slot{0};
}

void Vacuum::find(uint32_t slots) {
  const uint32_t count = graph_.slot_count();
  for (; slots > 0 && next_.value < count; --slots, ++next_.value) {
    while (next_.value % 64 == 0 && next_.value < count && graph_.doubtful_[next_.value / 64].load() == 0) {
      next_.value += 64;
    }
    if (next_.value >= count) break;
    if (!graph_.live(next_) && !graph_.dead(next_)) continue;  // about to be published
    // Cleared before the search: who loses a way in from now on is looked for again.
    if (Graph::clear(graph_.doubtful_, next_) && graph_.live(next_) && !find(next_)) count_relinked(1);
  }
  if (next_.value < count) return;
  next_ = Slot{0};
  if (relinked_ != std::exchange(relinked_before_, relinked_) && ++round_ < kFindRoundsMax) return;
  phase_ = Phase::kAudit;
}

void Vacuum::count_relinked(uint64_t slots) {
  if (slots == 0) return;
  relinked_ += slots;
  note_changed();
}

void Vacuum::end() {
  phase_ = Phase::kIdle;
  // One stands for what was passed over, so that another sweep is due.
  swept_events_ = events_at_begin_ - (passed_over_ ? 1 : 0);
  swept_publications_ = publications_at_begin_;
  ++sweeps_;
}

// Reads a list, and if there are dead ones in it, tells them from the living. Returns whether there are.
bool Vacuum::read(const Rows& rows, Slot slot, int layer, List& list) const {
  const std::byte* base = rows.row(slot);
  const uint32_t slot_bound = graph_.slot_count();
  const auto possible = [&](uint32_t link) {
    return link != 0 && link <= slot_bound && graph_.level(Slot{link - 1}) >= layer;
  };
  list.words.clear();
  for (const uint32_t& word : graph_.links(slot, layer)) list.words.push_back(Graph::load_link(word));
  const auto leads_to_dead = [&](uint32_t link) { return possible(link) && graph_.dead(Slot{link - 1}); };
  if (std::none_of(list.words.begin(), list.words.end(), leads_to_dead)) return false;

  list.kept.clear();
  list.dead.clear();
  for (const uint32_t link : list.words) {
    if (!possible(link)) continue;
    const Slot target{link - 1};
    (graph_.dead(target) ? list.dead : list.kept).push_back({rows.distance(base, target), target});
  }
  return !list.dead.empty();
}

// Leaves the nearest live slots behind the dead ones of the list in scratch.results, nearest first. Returns whether the
// dead may go: some were found, or there are none, and nothing is about to be published that may have no other way in.
// Passes through dead slots only: what lies behind live ones, the live ones lead to. Equal vectors are one place to all
// others, as in insertions: else a few hundred of them would crowd out everything else. Within a chain of them some are
// taken, since one may lie before the base.
bool Vacuum::look_behind_dead(const Rows& rows, Slot slot, int layer, const List& list) {
  const std::byte* base = rows.row(slot);
  const uint32_t slot_bound = graph_.slot_count();
  const size_t wanted = graph_.geometry().links_in(layer);
  bool passed_over = false;
  Graph::SearchScratch& s = Graph::scratch();
  s.visited.start(slot_bound);
  s.visited.insert(slot);
  for (const Neighbor& neighbor : list.kept) s.visited.insert(neighbor.slot);
  for (const Neighbor& neighbor : list.dead) s.visited.insert(neighbor.slot);
  s.frontier.assign(list.dead.begin(), list.dead.end());
  std::make_heap(s.frontier.begin(), s.frontier.end(), NearestFirst());
  s.results.clear();

  size_t looked_at = 0;
  while (!s.frontier.empty() && looked_at < kLookMax) {
    std::pop_heap(s.frontier.begin(), s.frontier.end(), NearestFirst());
    const Neighbor nearest = s.frontier.back();
    s.frontier.pop_back();
    if (s.results.size() >= wanted && s.results.front() < nearest) break;
    s.fresh.clear();
    for (const uint32_t& word : graph_.links(nearest.slot, layer)) {
      const uint32_t link = Graph::load_link(word);
      if (link == 0 || link > slot_bound) {
        passed_over |= link != 0 && link <= graph_.slot_count();  // newer than this look
        continue;
      }
      const Slot target{link - 1};
      if (graph_.level(target) < layer || !s.visited.insert(target)) continue;
      const bool about_to_be_published = !graph_.live(target) && !graph_.dead(target);
      passed_over |= about_to_be_published;
      if (!about_to_be_published) s.fresh.push_back(target);
    }
    for (size_t i = 0; i < s.fresh.size(); ++i) {
      if (i + 1 < s.fresh.size()) rows.prefetch(s.fresh[i + 1]);
      const Neighbor found{rows.distance(base, s.fresh[i]), s.fresh[i]};
      if (graph_.live(found.slot)) {
        const auto same = std::count_if(s.results.begin(), s.results.end(), [&](const Neighbor& n) {
          return n.distance == found.distance && graph_.same_vector(n.slot, found.slot);
        });
        if (same > 0 && static_cast<size_t>(same) >= (graph_.same_vector(found.slot, slot) ? wanted / 2 : 1)) continue;
        s.results.push_back(found);
        std::push_heap(s.results.begin(), s.results.end());
        if (s.results.size() > wanted) {
          std::pop_heap(s.results.begin(), s.results.end());
          s.results.pop_back();
        }
      } else {
        s.frontier.push_back(found);
        std::push_heap(s.frontier.begin(), s.frontier.end(), NearestFirst());
      }
    }
    looked_at += s.fresh.size();
  }
  std::sort_heap(s.results.begin(), s.results.end());
  passed_over_ |= passed_over;
  return !passed_over && (!s.results.empty() || s.frontier.empty());
}

// Adds to the links that are kept up to `room` of the slots that look_behind_dead() left: those that have no other way in
// (the newest of a chain of equal vectors, of which the others are dead), those that the diversity heuristic chooses, and
// the nearest of the rest (keepPrunedConnections of algorithm 4) until there are m. Without the latter lists become
// shorter from round to round, and recall falls twice as much.
std::vector<Neighbor> Vacuum::choose(const Rows& rows, Slot slot, int layer, std::vector<Neighbor> kept,
                                     size_t room) const {
  const size_t full = kept.size() + room;
  std::vector<Neighbor> rest;
  for (const Neighbor& candidate : Graph::scratch().results) {
    const bool needed = layer == 0 && kept.size() < full && !graph_.has_way_in(candidate.slot, slot);
    (needed ? kept : rest).push_back(candidate);
  }
  std::vector<Neighbor> chosen = graph_.select_neighbors(rows, rest, static_cast<uint32_t>(full), std::move(kept));
  for (const Neighbor& candidate : rest) {
    if (chosen.size() >= std::min<size_t>(full, graph_.geometry().m)) break;
    const bool in_it =
        std::any_of(chosen.begin(), chosen.end(), [&](const Neighbor& c) { return c.slot == candidate.slot; });
    if (!in_it) chosen.push_back(candidate);
  }
  return chosen;
}

void Vacuum::clean(Slot slot, int layer) {
  const Codes::Use use = graph_.codes_.use();
  const Rows& rows = use.rows();
  List list;
  while (read(rows, slot, layer, list)) {
    if (!look_behind_dead(rows, slot, layer, list)) return;
    const size_t kept = list.kept.size();
    const std::vector<Neighbor> chosen = choose(rows, slot, layer, std::move(list.kept), list.dead.size());

    const std::span<uint32_t> words = graph_.links(slot, layer);
    std::unique_lock<std::mutex> lock(graph_.stripe(slot));
    if (!std::equal(words.begin(), words.end(), list.words.begin(),
                    [](const uint32_t& word, uint32_t link) { return Graph::load_link(word) == link; })) {
      continue;
    }
    size_t next = kept;
    size_t dead = 0;
    for (uint32_t& word : words) {
      if (dead == list.dead.size() || Graph::load_link(word) != list.dead[dead].slot.value + 1) continue;
      Graph::store_link(word, next < chosen.size() ? chosen[next++].slot.value + 1 : 0);
      ++dead;
    }
    lock.unlock();
    ++lists_changed_;
    note_changed();
    // The dead that it led to mostly led to it, too.
    if (layer == 0) graph_.lost_link(slot);
    // None of the live should come to lead to a dead entry point; equal vectors link back by their chain only.
    for (size_t i = kept; i < chosen.size() && graph_.live(slot); ++i) {
      if (graph_.same_vector(chosen[i].slot, slot)) continue;
      graph_.add_link(rows, chosen[i].slot, layer, {chosen[i].distance, slot});
    }
    return;
  }
}

// Searches for `slot` by its vector and, if it has a place among the nearest and is not there, links it. Returns whether it
// needed no link.
bool Vacuum::find(Slot slot) {
  const std::vector<Neighbor> found = graph_.search(graph_.vector(slot), limits::kEfSearchDefault);
  const bool itself = std::any_of(found.begin(), found.end(), [&](const Neighbor& n) { return n.slot == slot; });
  if (itself || found.empty()) return true;
  // Codes round differently from floats.
  const float own = graph_.distance(graph_.vector(slot), slot);
  const bool no_place =
      found.size() == limits::kEfSearchDefault && found.back().distance <= own + kRounding * std::fabs(own);
  if (no_place) return true;
  graph_.link_from_any(graph_.codes_.use().rows(), found, slot);
  return false;
}

}  // namespace vs
