// Which operations of a collection have reached its graph. They are staged in the order of their LSNs and finish in any
// order; a checkpoint may cover those below which all are finished.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "index/types.h"

namespace vs::storage {

class AppliedWindow {
 public:
  struct Mark {
    Lsn lsn;             // all operations up to this one are in the graph
    uint32_t slots = 0;  // that they take
  };

  void reset(Mark mark) {
    std::lock_guard<std::mutex> lock(mutex_);
    mark_ = mark;
    staged_.clear();
  }
  // REQUIRES: lsn is the last staged one plus 1.
  void stage(Lsn lsn, uint32_t slots_after) {
    std::lock_guard<std::mutex> lock(mutex_);
    staged_.push_back({lsn, slots_after, false});
  }
  // The record of `superseded` is no longer needed once `by` is checkpointed. REQUIRES: `by` does not fall from call to
  // call.
  void supersede(Lsn by, Lsn superseded) {
    std::lock_guard<std::mutex> lock(mutex_);
    superseded_.emplace_back(by, superseded);
    if (recorded_) recorded_->push_back(superseded);
  }
  void applied(Lsn lsn) {
    std::lock_guard<std::mutex> lock(mutex_);
    staged_[lsn.value - staged_.front().lsn.value].done = true;
    for (; !staged_.empty() && staged_.front().done; staged_.pop_front()) {
      mark_ = {staged_.front().lsn, staged_.front().slots_after};
    }
  }
  Mark mark() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return mark_;
  }
  // The records that a checkpoint at `lsn` makes superfluous.
  std::vector<Lsn> superseded_until(Lsn lsn) const {
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Lsn> records;
    for (const auto& [by, which] : superseded_) {
      if (by > lsn) break;
      records.push_back(which);
    }
    return records;
  }
  // The last LSN up to `lsn` at which a checkpoint makes at most `most` records superfluous. REQUIRES: most >= 2, as one
  // operation may make two of them so.
  Lsn superseded_bound(Lsn lsn, size_t most) const {
    std::lock_guard<std::mutex> lock(mutex_);
    return superseded_.size() > most ? std::min(lsn, Lsn{superseded_[most].first.value - 1}) : lsn;
  }
  // They are removed.
  void forget_superseded(Lsn lsn) {
    std::lock_guard<std::mutex> lock(mutex_);
    while (!superseded_.empty() && superseded_.front().first <= lsn) superseded_.pop_front();
  }

  // From now on, remembers which records are superseded, until take_recorded().
  void start_recording() {
    std::lock_guard<std::mutex> lock(mutex_);
    recorded_.emplace();
  }
  std::vector<Lsn> take_recorded() {
    std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(recorded_, std::nullopt).value_or(std::vector<Lsn>());
  }
  // Another generation serves, in which the operations up to an LSN take `slots_until` of it.
  void renumber(const std::function<uint32_t(Lsn)>& slots_until) {
    std::lock_guard<std::mutex> lock(mutex_);
    mark_.slots = slots_until(mark_.lsn);
    for (Staged& staged : staged_) staged.slots_after = slots_until(staged.lsn);
  }

 private:
  struct Staged {
    Lsn lsn;
    uint32_t slots_after;
    bool done;
  };
  mutable std::mutex mutex_;
  Mark mark_;
  std::deque<Staged> staged_;
  std::deque<std::pair<Lsn, Lsn>> superseded_;  // (by whom, which), in the order of the former
  std::optional<std::vector<Lsn>> recorded_;
};

}  // namespace vs::storage
