// The parts of the graph that searching and insertion stand on: words, levels, entry point, liveness.
#include "index/graph.h"

#include <bit>

namespace vs {
namespace {

constexpr uint64_t pack(Graph::Entry entry) {
  return uint64_t{static_cast<uint32_t>(entry.level + 1)} << 32 | entry.slot.value;
}
constexpr Graph::Entry unpack(uint64_t word) {
  return {Slot{static_cast<uint32_t>(word)}, static_cast<int>(word >> 32) - 1};
}

Rows float_rows(const GraphConfig& config, const GraphMemory& memory) {
  return {.base = memory.vectors,
          .stride = config.geometry.vector_stride(),
          .bytes = config.geometry.dim * sizeof(float),
          .dim = config.geometry.dim,
          .of_floats = index_distance(config.metric)};
}

}  // namespace

Graph::Graph(const GraphConfig& config, GraphMemory memory, uint32_t slots_max)
    : codes_(config.metric, float_rows(config, memory), memory.codes, config.pca),
      config_(config),
      memory_(memory),
      nodes_(slots_max),
      live_(slots_max / 64 + 1),
      dead_(slots_max / 64 + 1),
      doubtful_(slots_max / 64 + 1),
      entry_(pack({})) {
  VS_CHECK(slots_max <= Geometry::kSlotsMax);
}

Graph::Entry Graph::entry() const {
  return unpack(entry_.load(std::memory_order_acquire));
}  // pairs with raise_entry()

void Graph::extend(uint32_t slot_count) {
  nodes_.grow(slot_count);
  live_.grow(slot_count / 64 + 1);
  dead_.grow(slot_count / 64 + 1);
  doubtful_.grow(slot_count / 64 + 1);
  for (uint32_t i = slot_count_.load(std::memory_order_relaxed); i < slot_count; ++i) {
    const int node_level = geometry().level(Slot{i});
    VS_CHECK(upper_rows_ + static_cast<uint64_t>(node_level) <= kRowMask);
    nodes_[i] = static_cast<uint32_t>(node_level) << kRowBits | static_cast<uint32_t>(upper_rows_);
    upper_rows_ += static_cast<uint64_t>(node_level);
    for (int layer = 0; layer <= node_level; ++layer) {
      slots_on_[static_cast<size_t>(layer)].fetch_add(1, std::memory_order_relaxed);
    }
  }
  codes_.extend(slot_count_.load(std::memory_order_relaxed), slot_count);
  slot_count_.store(slot_count, std::memory_order_release);  // pairs with slot_count()
}

void Graph::raise_entry(Slot slot) {
  const Entry wanted{slot, level(slot)};
  uint64_t current = entry_.load(std::memory_order_relaxed);
  for (;;) {
    const Entry now = unpack(current);
    const bool higher = wanted.level > now.level || (wanted.level == now.level && wanted.slot < now.slot);
    if (!higher) return;
    // release: pairs with entry(); whoever starts at this slot must see its links.
    if (entry_.compare_exchange_weak(current, pack(wanted), std::memory_order_release, std::memory_order_relaxed))
      return;
  }
}

void Graph::adopt(Slot slot) { raise_entry(slot); }

// The three return what the bit was. acq_rel pairs with itself and with the acquire of test(): whoever sees what the bit
// is sees what was done before it became that, a reader the row and the links of a live slot, and who publishes a slot
// that somebody retracts, why.
bool Graph::set(Bitmap& bitmap, Slot slot) {
  const uint64_t bit = uint64_t{1} << (slot.value % 64);
  return (bitmap[slot.value / 64].fetch_or(bit, std::memory_order_acq_rel) & bit) != 0;
}

bool Graph::clear(Bitmap& bitmap, Slot slot) {
  const uint64_t bit = uint64_t{1} << (slot.value % 64);
  return (bitmap[slot.value / 64].fetch_and(~bit, std::memory_order_acq_rel) & bit) != 0;
}

void Graph::publish(Slot slot) {
  if (clear(dead_, slot)) --dead_count_;  // a repair may bring back what was taken for dead
  if (set(live_, slot)) return;
  ++live_count_;
  ++publications_;  // after the bit, as in retract()
}

// Ways are handed over between the publication of the one and the death of the other, when either may be found: a search
// that began before there was a successor does not know it.
void Graph::retract(Slot slot, Slot successor) {
  if (successor != kNoSlot && same_vector(slot, successor)) hand_over(slot, successor);
  if (clear(live_, slot)) --live_count_;
  if (set(dead_, slot)) return;
  ++dead_count_;
  ++dead_link_events_;  // after the bit: whoever counts this death finds it
}

void Graph::lost_link(Slot slot) {
  if (!test(doubtful_, slot)) set(doubtful_, slot);
}

}  // namespace vs
