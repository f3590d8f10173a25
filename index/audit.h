// Checks and repairs of a whole graph, for recovery and after many insertions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "index/graph.h"

namespace vs {

struct Scrub {
  uint64_t zeroed_words = 0;
  std::vector<Slot> damaged;  // those that lost more links than they kept on one of their layers, in ascending order
};

// What is wrong with the lists of `slot`, as the end of a sentence; nullopt if nothing is. Insertions may go on meanwhile.
std::optional<std::string> link_problem(const Graph& graph, Slot slot);

// Zeroes every link of the slots that exist that cannot be one: beyond the last slot, to itself, or to a node that is
// not on that layer. Such words come from a crash between the write of a list and the write of what it points to.
// Searches may go on meanwhile. REQUIRES: nobody inserts.
Scrub scrub_links(Graph& graph);

// Links every live slot that cannot be reached from the entry point on layer 0 from a reachable one near it. Searches
// and insertions may go on meanwhile. Returns how many were linked.
uint64_t relink_unreachable(Graph& graph);

// Live slots that cannot be reached from the entry point on layer 0, in ascending order.
std::vector<Slot> find_unreachable(const Graph& graph);

}  // namespace vs
