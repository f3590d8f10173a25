#include "storage/vacuumer.h"

#include <algorithm>
#include <utility>

namespace vs::storage {
namespace {

constexpr auto kPause = std::chrono::seconds(1);  // when nothing is due
constexpr auto kQuietAfter = std::chrono::seconds(1);
constexpr auto kSlice = std::chrono::milliseconds(5);
constexpr uint32_t kSlotsAtATime = 16;
constexpr uint64_t kDeathsShare = 100;  // a sweep is worth it when one in so many died

}  // namespace

void Vacuumer::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Vacuumer::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  Clock::duration pause = kPause;
  while (!stopped_.wait_for(lock, pause, [this] { return stopping_; })) {
    lock.unlock();
    pause = slice();
    lock.lock();
  }
}

Vacuumer::Quiet Vacuumer::look_for_requests(const std::vector<std::shared_ptr<CollectionImpl>>& all,
                                            Clock::time_point now) {
  uint64_t writes = 0;
  uint64_t searches = 0;
  for (const auto& collection : all) {
    writes += collection->last_lsn().value;
    searches += collection->searches();
  }
  if (writes != std::exchange(writes_seen_, writes)) last_write_ = now;
  if (searches != std::exchange(searches_seen_, searches)) last_search_ = now;
  const bool no_writes = now - last_write_ >= kQuietAfter;
  return {.of_writes = no_writes, .of_all = no_writes && now - last_search_ >= kQuietAfter};
}

// One slice of work for the collection whose turn it is. Returns how long to pause before the next.
Vacuumer::Clock::duration Vacuumer::slice() {
  const auto all = collections_();
  const auto begin = Clock::now();
  const Quiet quiet = look_for_requests(all, begin);

  std::shared_ptr<CollectionImpl> next;
  for (const auto& collection : all) {
    const std::shared_ptr<Generation> generation = collection->generation();
    const Vacuum& vacuum = generation->vacuum();
    const bool worth_it = vacuum.sweeping() || (vacuum.due() && quiet.of_writes) ||
                          vacuum.dead_links() * kDeathsShare > generation->graph().live_count();
    if (!worth_it || collection->dropped()) continue;
    const auto turn = [this](const CollectionImpl& c) { return std::pair(c.number() <= previous_, c.number()); };
    if (!next || turn(*collection) < turn(*next)) next = collection;
  }
  if (!next) return kPause;

  previous_ = next->number();
  const std::shared_ptr<Generation> generation = next->generation();
  Vacuum& vacuum = generation->vacuum();
  do {
    vacuum.step(kSlotsAtATime);
  } while (vacuum.sweeping() && Clock::now() - begin < kSlice);
  if (quiet.of_all) return {};
  const uint64_t dead_links = std::max<uint64_t>(vacuum.dead_links(), 1);
  return (Clock::now() - begin) * std::clamp<uint64_t>(generation->graph().live_count() / dead_links, 1, 9);
}

}  // namespace vs::storage
