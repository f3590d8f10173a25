// The last points of a generation that were replaced. A search beside an update may miss both slots of a point that was
// there all the time: the new one because the search had passed its neighbours before it was linked, the old one because
// it was retracted before the search came to it. So a search adds the new slots of all replacements since it began.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "index/types.h"

namespace vs::storage {

class Replacements {
 public:
  // REQUIRES: `slot` is published, and what it replaces is not retracted yet.
  void add(Slot slot) {
    std::lock_guard<std::mutex> lock(mutex_);
    const uint64_t count = count_.load(std::memory_order_relaxed);
    slots_[count % kKept] = slot;
    count_.store(count + 1, std::memory_order_release);  // pairs with count()
  }
  uint64_t count() const { return count_.load(std::memory_order_acquire); }
  // The new slots of all but the first `count`, and `count` becomes what count() is. A search that takes so long that there
  // are more than kKept gets the last ones.
  std::vector<Slot> since(uint64_t& count) const {
    if (count == this->count()) return {};
    std::lock_guard<std::mutex> lock(mutex_);
    const uint64_t end = this->count();
    std::vector<Slot> slots;
    for (uint64_t i = std::max(count, end - std::min(end, kKept)); i < end; ++i) slots.push_back(slots_[i % kKept]);
    count = end;
    return slots;
  }

 private:
  static constexpr uint64_t kKept = 4096;

  mutable std::mutex mutex_;
  std::array<Slot, kKept> slots_{};
  std::atomic<uint64_t> count_{0};
};

}  // namespace vs::storage
