// A rebuild, or compaction: the next generation of a collection, written from RocksDB while the present one serves.
//
//   1  From the start on, the collection remembers which records are superseded. A record that is trimmed before it was
//      read is among them, or is not current any more; so the log need not be kept for the rebuild.
//   2  Rounds: read the records behind the last round that are still current, and link them on all threads that the
//      rebuild may have. The first round has nearly everything; a later one what was written during the one before.
//      Where writers are as fast as the linking the rounds would not end, so after a few of them they only read, which
//      is much faster than writing.
//   3  When few operations are left, writes wait for a moment. The last records are read, what was superseded since 1 is
//      killed, and the generation becomes the next one of the collection. From here on, every operation goes into both
//      (CommitQueue::stage()), and is acknowledged when both have it.
//   4  What 3 read is linked. Then the next generation has everything: its files are brought to the disk, one small
//      synchronous write to RocksDB names it, and it serves (checkpoint.cc). Writes wait for that write only. The log is
//      trimmed after it.
//
// Searches never wait; those under way end in the old generation, whose files are removed, and whose blocks are free when
// its last reader lets go. A crash before the write leaves the old generation and a directory that nobody names, which the
// next start removes; after it, the same the other way round.
#include "storage/rebuild.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "storage/commit_queue.h"
#include "storage/replay.h"

namespace vs::storage {
namespace {

using Clock = std::chrono::steady_clock;

// Writes wait while so many records are read, about 10 µs each.
constexpr uint64_t kFewOperations = 64;
constexpr int kLinkedRounds = 5;
// What is read goes to the disk in portions of so many records: all of it at once would keep the log of RocksDB, and with
// it every write, waiting for seconds.
constexpr uint64_t kPortion = 2048;
constexpr int kRounds = 100;

uint64_t size_of(const Generation& generation) {
  uint64_t bytes = 0;
  for (const auto& [name, size] : generation.file_bytes()) bytes += size;
  return bytes;
}

class Rebuild {
 public:
  Rebuild(const StorageContext& context, CollectionImpl& collection, const CollectionConfig& config, unsigned threads,
          Progress& progress)
      : context_(context), collection_(collection), progress_(progress) {
    context_.threads = threads;
    {
      std::lock_guard<std::mutex> lock(collection_.info_mutex());
      info_ = collection_.info();
    }
    info_.config = config;
    ++info_.generation;
  }
  // What was not finished goes.
  ~Rebuild() {
    if (finished_) return;
    {
      std::lock_guard<std::mutex> commit_lock(context_.queue.commit_mutex());
      collection_.window().take_recorded();
      collection_.set_next(nullptr);
    }
    // The directories of a dropped collection went when this may have just made one in them.
    remove(collection_.dropped() ? collection_directory(context_.directory, info_.number)
                                 : generation_identity(context_.directory, info_).directory);
  }
  Rebuild(const Rebuild&) = delete;
  Rebuild& operator=(const Rebuild&) = delete;

  Result<RebuildReport> run(std::mutex& checkpoint_mutex) {
    const std::shared_ptr<Generation> old = collection_.generation();
    progress_.total = 2 * old->graph().live_count();  // read and linked
    {
      std::lock_guard<std::mutex> commit_lock(context_.queue.commit_mutex());
      collection_.window().start_recording();
    }
    VS_ASSIGN_OR_RETURN(
        next_, Generation::create(context_.file_system, generation_identity(context_.directory, info_), info_.config));
    Replay replay(context_, collection_.name(), info_, *next_, Replay::Slots::kCurrent, &progress_);
    VS_RETURN_IF_ERROR(catch_up(replay));
    VS_RETURN_IF_ERROR(attach(replay));
    VS_RETURN_IF_ERROR(replay.link({}).status());
    {
      std::lock_guard<std::mutex> checkpoint_lock(checkpoint_mutex);
      std::chrono::nanoseconds stall{0};
      VS_RETURN_IF_ERROR(checkpoint_and_switch(context_, collection_, stall));
      stall_ = std::max(stall_, stall);
      finished_ = true;
      remove(old->identity().directory);
      VS_RETURN_IF_ERROR(checkpoint_collection(context_, collection_));
    }
    const uint64_t slots = old->graph().slot_count();
    const uint64_t points = next_->graph().live_count();
    return RebuildReport{.config = collection_.config(),
                         .generation = info_.generation,
                         .points = points,
                         .deleted_slots = slots - std::min(points, slots),
                         .bytes_before = size_of(*old),
                         .bytes = size_of(*next_),
                         .stall_ms = std::chrono::duration<double, std::milli>(stall_).count()};
  }

 private:
  // The records behind those that were read. Returns how many there were.
  Result<uint64_t> read(Replay& replay) {
    const uint64_t before = replay.operations();
    VS_RETURN_IF_ERROR(replay.read(read_to_, [&](Lsn lsn, const Record&) -> Status {
      read_to_ = lsn;
      return replay.operations() % kPortion == 0 ? sync() : Status{};
    }));
    return replay.operations() - before;
  }

  Status sync() {
    const Status synced = next_->sync();
    if (!synced.ok()) context_.queue.fail(synced);
    return synced;
  }

  Status catch_up(Replay& replay) {
    for (int round = 0; round < kRounds; ++round) {
      VS_ASSIGN_OR_RETURN(const uint64_t operations, read(replay));
      if (operations <= kFewOperations && round > 0) break;
      if (round < kLinkedRounds) VS_RETURN_IF_ERROR(replay.link({}).status());
      progress_.total = std::max<uint64_t>(progress_.total, progress_.done);
    }
    return {};
  }

  Status attach(Replay& replay) {
    std::lock_guard<std::mutex> commit_lock(context_.queue.commit_mutex());
    const auto begin = Clock::now();
    if (collection_.dropped()) return {Code::kNotFound, "dropped"};
    VS_RETURN_IF_ERROR(read(replay).status());
    for (const Lsn superseded : collection_.window().take_recorded()) next_->kill(superseded);
    collection_.set_next(next_);
    stall_ = Clock::now() - begin;
    return {};
  }

  // Nobody names the directory: if it stays, the next start removes it.
  void remove(const std::string& directory) const {
    const Status removed = context_.file_system.remove_all(directory);
    if (!removed.ok()) spdlog::warn("cannot remove directory={} message='{}'", directory, removed.message());
  }

  StorageContext context_;
  CollectionImpl& collection_;
  Progress& progress_;
  CollectionInfo info_;  // as the switch will write it
  std::shared_ptr<Generation> next_;
  Lsn read_to_;
  std::chrono::nanoseconds stall_{0};
  bool finished_ = false;
};

}  // namespace

Result<RebuildReport> rebuild_collection(const StorageContext& context, CollectionImpl& collection,
                                         const CollectionConfig& config, unsigned threads, std::mutex& checkpoint_mutex,
                                         Progress& progress) {
  auto report = Rebuild(context, collection, config, threads, progress).run(checkpoint_mutex);
  if (report.ok() || !collection.dropped()) return report;
  return Status{Code::kNotFound, "collection '" + collection.name() + "' was dropped meanwhile"};
}

}  // namespace vs::storage
