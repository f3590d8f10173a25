// Keeps the graph whole after deletions and insertions, a piece at a time. A sweep visits the slots twice, in their order.
//
// First, a live slot's list that holds links to dead ones gets, in their place, live slots that lie behind them: those
// that a search would have come to through them. They link back where they have room. Live links stay. So the dead lose
// their ways in and drop out of all traversals; their own lists are left as they are, for those who are on them. The
// entry point is treated like a live slot, whatever it is.
//
// Then each live slot that lost a way in is searched for by its own vector. If it is not found though it has a place among
// the nearest (equal ones may take them all, and under Metric::kDot longer ones), it is linked from the nearest one that
// was and has room, in place of somebody else's link if there is none; so this is done again, a few times, for those that
// lost a way in by it. (Not only the death of neighbours makes points be missed: of a graph just built, 1 to 3 in a
// thousand are, because the lists around them turned to nearer ones.) Now and then all are searched for, since changes
// far away turn some searches aside, too: of 10,000 points, half of which were new, 0 to 4 were missed without that, and
// none with it. In the end, what no way leads to is relinked (audit.h).
//
// A slot that is about to be published is neither live nor dead. Ways to it stay, and another sweep becomes due.
//
// There is nothing to keep but a position: what lists hold says what is left to do, in a sweep that was interrupted by
// the end of the process as well. Only which slots lost a way in is forgotten then.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "index/graph.h"

namespace vs {

class Vacuum {
 public:
  // Lists may hold links to slots that are dead now. REQUIRES: `graph` outlives it.
  explicit Vacuum(Graph& graph)
      : graph_(graph), swept_publications_(graph.publications()), changes_at_search_for_all_(changes()) {}

  // While it is held no step is taken. During a sweep there may be live slots that no way leads to.
  std::unique_lock<std::mutex> hold() { return std::unique_lock<std::mutex>(mutex_); }
  // REQUIRES for the rest: the thread that takes the steps, or one that holds it.
  bool sweeping() const { return phase_ != Phase::kIdle; }
  // How often since the last full sweep began a list may have come to hold a link to a dead slot. 0: none does, but
  // those kept as the way to what lies far behind.
  uint64_t dead_links() const { return graph_.dead_link_events() - swept_events_; }
  // Whether anything died or was published since the last full sweep began.
  bool due() const { return sweeping() || dead_links() != 0 || graph_.publications() != swept_publications_; }
  // Goes on by about `slots` slots with the sweep under way, or begins one if it is due. The audit in the end is one step.
  // Searches, insertions and deletions may go on meanwhile. REQUIRES: not held by the caller.
  void step(uint32_t slots);

  // Whoever holds the vacuum and changes links says so here.
  void note_changed() { changed_.store(true, std::memory_order_relaxed); }
  // Whether links changed since this was called last. Any thread may ask.
  bool take_changed() { return changed_.exchange(false, std::memory_order_relaxed); }

  uint64_t sweeps() const { return sweeps_; }                // that ended
  uint64_t lists_changed() const { return lists_changed_; }  // since the beginning
  uint64_t relinked() const { return relinked_; }            // slots, likewise

 private:
  enum class Phase : uint8_t { kIdle, kClean, kFind, kAudit };
  struct List;
  void begin();
  void end();
  void count_relinked(uint64_t slots);
  uint64_t changes() const { return graph_.dead_link_events() + graph_.publications(); }
  void clean(uint32_t slots);
  void clean(Slot slot, int layer);
  bool read(const Rows& rows, Slot slot, int layer, List& list) const;
  bool look_behind_dead(const Rows& rows, Slot slot, int layer, const List& list);
  std::vector<Neighbor> choose(const Rows& rows, Slot slot, int layer, std::vector<Neighbor> kept, size_t room) const;
  void find(uint32_t slots);
  bool find(Slot slot);

  Graph& graph_;
  std::mutex mutex_;
  std::atomic<bool> changed_{false};
  Phase phase_ = Phase::kIdle;
  Slot next_{0};
  int round_ = 0;                 // of searching
  uint64_t relinked_before_ = 0;  // this round
  uint64_t events_at_begin_ = 0;
  uint64_t swept_events_ = 0;
  uint64_t publications_at_begin_ = 0;
  uint64_t swept_publications_;
  bool passed_over_ = false;  // a slot that is about to be published, by this sweep
  uint64_t changes_at_search_for_all_;
  uint64_t sweeps_ = 0;
  uint64_t lists_changed_ = 0;
  uint64_t relinked_ = 0;
};

}  // namespace vs
