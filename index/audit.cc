#include "index/audit.h"

#include <array>
#include <vector>

#include "index/search_scratch.h"

namespace vs {
namespace {

// Whether `link`, a word that is not 0, may stand in the list of `slot` on `layer`.
bool link_possible(const Graph& graph, Slot slot, int layer, uint32_t link, uint32_t slot_count) {
  return link <= slot_count && link != slot.value + 1 && graph.level(Slot{link - 1}) >= layer;
}

// Marks everything that can be reached on layer 0 from `from`, which may be marked already or not.
void mark_reachable(const Graph& graph, Slot from, std::vector<bool>& reached) {
  std::vector<Slot> pending;
  const auto visit = [&](Slot slot) {
    if (reached[slot.value]) return;
    reached[slot.value] = true;
    pending.push_back(slot);
  };
  visit(from);
  while (!pending.empty()) {
    const Slot slot = pending.back();
    pending.pop_back();
    for (const uint32_t& word : graph.links(slot, 0)) {
      const uint32_t link = Graph::load_link(word);
      if (link != 0 && link <= reached.size()) visit(Slot{link - 1});
    }
  }
}

template <class Visitor>
void for_each_unreachable(const Graph& graph, Visitor visitor) {
  const Graph::Entry entry = graph.entry();
  if (entry.level < 0) return;
  const uint32_t count = graph.slot_count();
  std::vector<bool> reached(count);
  if (entry.slot.value < count) mark_reachable(graph, entry.slot, reached);
  for (Slot slot{0}; slot.value < count; ++slot.value) {
    if (!reached[slot.value] && graph.live(slot)) visitor(slot, reached);
  }
}

}  // namespace

class Auditor {
 public:
  // From a slot near it that is `reached`. Upper layers may lead to one that is not, and to `slot` itself: so the
  // search starts at the entry point as well.
  static void relink(Graph& graph, Slot slot, const std::vector<bool>& reached) {
    const Codes::Use use = graph.codes_.use();
    const Rows& rows = use.rows();
    const void* query = rows.row(slot);
    const Graph::Entry start = graph.entry();
    const Neighbor entry{rows.distance(query, start.slot), start.slot};
    Neighbor nearest = entry;
    for (int layer = start.level; layer > 0; --layer) nearest = graph.descend(rows, query, nearest, layer, nullptr);
    const std::array<Neighbor, 2> entries = {nearest, entry};
    Graph::SearchScratch& s = Graph::scratch();
    graph.search_layer<false>(rows, query, entries, graph.config().ef_construction, 0, slot, s, nullptr);
    std::erase_if(s.results,
                  [&](const Neighbor& n) { return n.slot.value >= reached.size() || !reached[n.slot.value]; });
    graph.prefer_live(s.results);
    graph.link_from_any(rows, s.results, slot);
  }
};

std::optional<std::string> link_problem(const Graph& graph, Slot slot) {
  for (int layer = 0; layer <= graph.level(slot); ++layer) {
    for (const uint32_t& word : graph.links(slot, layer)) {
      const uint32_t link = Graph::load_link(word);
      // The count is read after the word: what an insertion linked meanwhile exists.
      if (link == 0 || link_possible(graph, slot, layer, link, graph.slot_count())) continue;
      return " has on layer " + std::to_string(layer) + " a link to " +
             (link == slot.value + 1      ? std::string("itself")
              : link > graph.slot_count() ? "slot " + std::to_string(link - 1) + ", which does not exist"
                                          : "slot " + std::to_string(link - 1) + ", which is not on that layer");
    }
  }
  return std::nullopt;
}

Scrub scrub_links(Graph& graph) {
  const uint32_t count = graph.slot_count();
  Scrub scrub;
  for (Slot slot{0}; slot.value < count; ++slot.value) {
    bool damaged = false;
    for (int layer = 0; layer <= graph.level(slot); ++layer) {
      uint32_t kept = 0;
      uint32_t zeroed = 0;
      for (uint32_t& word : graph.links(slot, layer)) {
        const uint32_t link = Graph::load_link(word);
        if (link == 0) continue;
        if (link_possible(graph, slot, layer, link, count)) {
          ++kept;
          continue;
        }
        Graph::store_link(word, 0);
        ++zeroed;
      }
      scrub.zeroed_words += zeroed;
      damaged |= zeroed > kept;
    }
    if (damaged) scrub.damaged.push_back(slot);
  }
  return scrub;
}

uint64_t relink_unreachable(Graph& graph) {
  uint64_t relinked = 0;
  // A link may take the place of another one that was the last way to its target: so look again, a few times at most.
  for (int round = 0; round < 8; ++round) {
    uint64_t found = 0;
    for_each_unreachable(graph, [&](Slot slot, std::vector<bool>& reached) {
      Auditor::relink(graph, slot, reached);
      mark_reachable(graph, slot, reached);
      ++found;
    });
    relinked += found;
    if (found == 0) break;
  }
  return relinked;
}

std::vector<Slot> find_unreachable(const Graph& graph) {
  std::vector<Slot> slots;
  for_each_unreachable(graph, [&](Slot slot, std::vector<bool>&) { slots.push_back(slot); });
  return slots;
}

}  // namespace vs
