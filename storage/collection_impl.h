// A collection's state, shared by those who read it (collection.cc), write it (commit_queue.cc), checkpoint it
// (checkpoint.cc) and recover it (recovery.cc).
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "storage/applied_window.h"
#include "storage/check.h"
#include "storage/collection.h"
#include "storage/generation.h"
#include "storage/rebuild.h"
#include "storage/store.h"

namespace vs::storage {

class CommitQueue;

class CollectionImpl final : public Collection, public std::enable_shared_from_this<CollectionImpl> {
 public:
  // `queue` takes the writes and outlives them; set before the first one.
  CollectionImpl(std::string name, const CollectionInfo& info, Store& store, CommitQueue& queue,
                 std::shared_ptr<Generation> generation);

  const std::string& name() const override { return name_; }
  CollectionConfig config() const override {
    CollectionConfig config = generation()->config();
    config.ef_search = ef_search();
    return config;
  }
  void add(AddRequest request, AddDone done) override;
  void remove(std::vector<std::string> ids, DeleteDone done) override;
  Result<Point> get(const std::string& id, With with) const override;
  Result<SearchReply> search(const SearchRequest& request) const override;
  Result<ScanReply> scan(const ScanRequest& request) const override;
  CollectionStats stats() const override;

  CollectionNumber number() const { return number_; }
  // Whoever works with slots keeps what this returns: another generation has others.
  std::shared_ptr<Generation> generation() const {
    std::lock_guard<std::mutex> lock(generation_mutex_);
    return generation_;
  }
  // What an operation goes into: the generation that serves, and one that is about to follow it (null: none).
  struct Targets {
    std::shared_ptr<Generation> serving;
    std::shared_ptr<Generation> next;
  };
  Targets targets() const {
    std::lock_guard<std::mutex> lock(generation_mutex_);
    return {generation_, next_};
  }
  // REQUIRES: the commit mutex is held; `next` has a row for every operation so far that a successor needs.
  void set_next(std::shared_ptr<Generation> next) {
    std::lock_guard<std::mutex> lock(generation_mutex_);
    next_ = std::move(next);
  }
  // The next generation serves from now on. REQUIRES: the commit mutex is held; it has everything that was acknowledged.
  void switch_to_next() {
    std::lock_guard<std::mutex> lock(generation_mutex_);
    generation_ = std::move(next_);
    window_.renumber([this](Lsn lsn) { return generation_->first_after(lsn).value; });
  }
  AppliedWindow& window() { return window_; }
  bool dropped() const { return dropped_.load(std::memory_order_acquire); }
  void set_dropped() { dropped_.store(true, std::memory_order_release); }
  Lsn last_lsn() const { return Lsn{last_lsn_.load(std::memory_order_relaxed)}; }
  // Called by the commit thread, or by recovery.
  void set_last_lsn(Lsn lsn) { last_lsn_.store(lsn.value, std::memory_order_relaxed); }

  // Nodes that insertions left without a way to them are looked for at checkpoints; behind this operation there may be
  // some.
  void set_audited(Lsn lsn) { audited_lsn_.store(lsn.value, std::memory_order_relaxed); }
  bool audit_due() const { return audited_lsn_.load(std::memory_order_relaxed) < last_lsn().value; }

  // The description as the next checkpoint writes it; under info_mutex().
  CollectionInfo& info() { return info_; }
  std::mutex& info_mutex() const { return info_mutex_; }

  // About how long one thread would replay the operations that are applied and not checkpointed: as long as applying them
  // took, since it is the same work.
  std::chrono::nanoseconds replay_cost() const {
    return std::chrono::nanoseconds(replay_cost_ns_.load(std::memory_order_relaxed));
  }
  void add_replay_cost(std::chrono::nanoseconds cost) {
    replay_cost_ns_.fetch_add(cost.count(), std::memory_order_relaxed);
  }

  // Searches so far, to tell an idle machine from a busy one.
  uint64_t searches() const { return searches_.load(std::memory_order_relaxed); }

  // Of searches that name no ef. The collection's own, and no matter of a generation's files.
  uint32_t ef_search() const { return ef_search_.load(std::memory_order_relaxed); }
  void set_ef_search(uint32_t ef_search) { ef_search_.store(ef_search, std::memory_order_relaxed); }

  uint32_t dim() const { return dim_; }
  Metric metric() const { return metric_; }

 private:
  Status check_request(const SearchRequest& request) const;
  Result<std::vector<float>> query_of(const SearchRequest& request) const;
  Status attach(Point& point, Lsn lsn, With with) const;
  struct Collected {
    std::vector<Match> matches;
    bool retracted = false;  // some of the neighbours since the search
    size_t found = 0;        // slots, by the search
  };
  Result<std::optional<Collected>> collect(const Generation& generation, const std::vector<Neighbor>& neighbors,
                                           const SearchRequest& request) const;
  Result<std::optional<Collected>> search(const Generation& generation, std::span<const float> query,
                                          const SearchRequest& request, bool exact, uint32_t count,
                                          SearchTrace& trace) const;
  std::vector<std::vector<std::string>> links_of(const Generation& generation, Slot slot) const;
  Status gone() const;

  const std::string name_;
  const CollectionNumber number_;
  // A rebuild may change all but these.
  const uint32_t dim_;
  const Metric metric_;
  std::atomic<uint32_t> ef_search_;
  Store& store_;
  CommitQueue& queue_;
  mutable std::mutex generation_mutex_;
  std::shared_ptr<Generation> generation_;
  std::shared_ptr<Generation> next_;
  AppliedWindow window_;
  std::atomic<bool> dropped_{false};
  std::atomic<uint64_t> last_lsn_{0};
  std::atomic<uint64_t> audited_lsn_{0};
  std::atomic<int64_t> replay_cost_ns_{0};
  mutable std::atomic<uint64_t> searches_{0};
  mutable std::mutex info_mutex_;
  CollectionInfo info_;
};

// recovery.cc: brings the mapped files of `info` to the state of the log, or rebuilds them. `verify` distrusts what the
// files say of deletions (the last run did not end well and did not sync every operation). Errors: kCorrupt, kIoError,
// kNoSpace.
struct StorageContext {
  FileSystem& file_system;
  Store& store;
  CommitQueue& queue;
  const std::string& directory;  // of the database
  uint64_t free_space_reserve_bytes;
  unsigned threads;
  uint32_t trimmed_at_once;
};
struct RecoveryContext : StorageContext {
  bool clean;    // the last run closed the database
  bool relaxed;  // the last run had a durability below `always`
};
Result<std::shared_ptr<CollectionImpl>> recover_collection(const RecoveryContext& context, const std::string& name,
                                                           const CollectionInfo& info);
std::string collection_directory(const std::string& database, CollectionNumber number);
Generation::Identity generation_identity(const std::string& database, const CollectionInfo& info);

// repair.cc: checks an open collection and, if that is asked, repairs it. `checkpoint_mutex` keeps checkpoints out while
// it repairs.
Result<CheckReport> check_collection(const StorageContext& context, CollectionImpl& collection,
                                     const CheckOptions& options, std::mutex& checkpoint_mutex, Progress& progress);

// rebuild.cc: writes the next generation from RocksDB, with `config`, while operations go on, and switches to it.
// `threads` link. Errors: kNoSpace, kLimit, kCorrupt, kReadOnly, kShuttingDown (it was cancelled), kNotFound (dropped
// meanwhile): the old generation goes on; kIoError.
Result<RebuildReport> rebuild_collection(const StorageContext& context, CollectionImpl& collection,
                                         const CollectionConfig& config, unsigned threads, std::mutex& checkpoint_mutex,
                                         Progress& progress);

// checkpoint.cc: brings a collection's mapped files to the disk, writes that down, and trims the log. A collection
// without new operations, and whose links and codes did not change either, is left alone. One at a time for each
// collection. Errors: kNoSpace, kReadOnly: the old checkpoint stands; kIoError: fatal.
Status checkpoint_collection(const StorageContext& context, CollectionImpl& collection);
// The same for the next generation, which serves when this returns; but where much is to be trimmed, only the first step, so
// that another checkpoint should follow. `stall` is set to how long writes waited. Errors: also kNotFound (the collection
// was dropped).
Status checkpoint_and_switch(const StorageContext& context, CollectionImpl& collection,
                             std::chrono::nanoseconds& stall);
// Learns the range of the serving generation's codes anew and encodes all; searches read floats meanwhile. RocksDB is told
// first that the codes on the disk are not to be trusted, until the next checkpoint. REQUIRES: no checkpoint meanwhile.
Status encode_again(const StorageContext& context, CollectionImpl& collection);

}  // namespace vs::storage
