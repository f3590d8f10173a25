// Lets the vacuums of all collections (index/vacuum.h) go on in the background, within a budget.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "storage/collection_impl.h"

namespace vs::storage {

// A machine without requests works through what there is to do at once. A busy one waits until the deaths are a hundredth
// of the live points: a sweep mends a list once, however many of its links died, so fewer sweeps are less work. It then
// gives a tenth of a core, and up to a half as the dead near the number of the living; from there on they would cost
// searches more than that. Points that insertions made hard to find are looked for when no writes come.
class Vacuumer {
 public:
  using Collections = std::function<std::vector<std::shared_ptr<CollectionImpl>>()>;
  // `collections` is called from its thread.
  explicit Vacuumer(Collections collections) : collections_(std::move(collections)), thread_(&Vacuumer::run, this) {}
  ~Vacuumer() { stop(); }
  Vacuumer(const Vacuumer&) = delete;
  Vacuumer& operator=(const Vacuumer&) = delete;

  // No links change any more when this returns. A sweep under way is not ended.
  void stop();

 private:
  using Clock = std::chrono::steady_clock;
  struct Quiet {
    bool of_writes = false;
    bool of_all = false;
  };

  void run();
  Clock::duration slice();
  Quiet look_for_requests(const std::vector<std::shared_ptr<CollectionImpl>>& all, Clock::time_point now);

  const Collections collections_;
  uint64_t writes_seen_ = 0;
  uint64_t searches_seen_ = 0;
  Clock::time_point last_write_;
  Clock::time_point last_search_;
  CollectionNumber previous_{0};
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace vs::storage
