// Checks and repairs of a whole graph, for recovery and after many insertions.
#pragma once

#include <cstdint>

#include "index/graph.h"

namespace vs {

// Zeroes every link of the slots that exist that cannot be one: beyond the last slot, to itself, or to a node that is
// not on that layer. Such words come from a crash between the write of a list and the write of what it points to.
// Returns how many. REQUIRES: nobody else uses the graph.
uint64_t scrub_links(Graph& graph);

// Zeroes all links of `slot`. REQUIRES: nobody else uses the graph.
void clear_links(Graph& graph, Slot slot);

// Links every live slot that cannot be reached from the entry point on layer 0 from a reachable one near it. Searches
// and insertions may go on meanwhile. Returns how many were linked.
uint64_t relink_unreachable(Graph& graph);

// Live slots that cannot be reached from the entry point on layer 0.
uint64_t count_unreachable(const Graph& graph);

}  // namespace vs
