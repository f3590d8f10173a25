// The way of every write: one thread makes operations durable, several put them into the graph.
//
//   submit() → commit thread: groups whatever came while the last group was synced, checks conditions, gives LSNs, backs
//              space in the mapped files, writes one atomic batch to RocksDB, syncs, appends rows and vectors
//            → apply threads: link, publish, retract; the same id always on the same thread, so in order
//            → the callback
//
// The mapped files are touched only after the batch is durable, so they never hold what the log does not.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

#include "storage/collection_impl.h"

namespace vs::storage {

class CommitQueue {
 public:
  struct Add {
    std::shared_ptr<CollectionImpl> collection;
    AddRequest request;
    AddDone done;
  };
  struct Delete {
    std::shared_ptr<CollectionImpl> collection;
    std::vector<std::string> ids;
    DeleteDone done;
  };
  using Mutation = std::variant<Add, Delete>;

  CommitQueue(Store& store, FileSystem& file_system, const DatabaseOptions& options, unsigned apply_threads);
  ~CommitQueue();

  void submit(Mutation mutation);
  // Refuses what comes from now on, finishes what came before, ends the threads. Idempotent.
  void stop();

  // Writes to RocksDB; every write of an open database goes this way. After kNoSpace the next write tries whether there
  // is room again. Errors: kNoSpace, kReadOnly (RocksDB found damage and takes no writes); anything else is fatal, see
  // fail(). REQUIRES: the commit mutex is held.
  Status write(Store::Batch& batch, bool sync, LogSpace::Use use = LogSpace::Use::kCheckpoint);
  // Held while a group is checked, written and staged. Whoever changes the set of collections holds it, too.
  std::mutex& commit_mutex() { return commit_mutex_; }
  // The first failure of the disk: nothing is acknowledged any more.
  void fail(const Status& status);
  Status failure() const;

  // Writes are refused for want of space.
  bool no_space() const { return no_space_.load(std::memory_order_relaxed); }
  uint64_t commits() const { return commits_.load(std::memory_order_relaxed); }
  uint64_t operations() const { return operations_.load(std::memory_order_relaxed); }
  uint64_t syncs() const { return syncs_.load(std::memory_order_relaxed); }
  void count_sync() { ++syncs_; }

 private:
  struct Completion;
  struct Operation;
  struct Group;
  struct Applier;

  void commit_loop();
  void commit_group(std::deque<Mutation>& mutations);
  void prepare(Group& group, Add& add);
  void prepare(Group& group, Delete& remove);
  Result<Lsn> current_lsn(Group& group, const CollectionImpl& collection, const std::string& id);
  void note_refusal(Group& group, const Status& why);
  void note_room(const Group& group);
  Status check_space(Group& group, const CollectionImpl& collection, uint64_t id_bytes, uint64_t record_bytes);
  void stage(Group& group);
  void apply_loop(Applier& applier);

  Store& store_;
  FileSystem& file_system_;
  const DatabaseOptions& options_;
  std::mutex commit_mutex_;
  bool out_of_space_ = false;  // the last write to RocksDB failed so; under commit_mutex_
  std::atomic<bool> no_space_{false};
  std::mutex queue_mutex_;
  std::condition_variable queue_changed_;
  std::deque<Mutation> queue_;
  bool stopping_ = false;
  mutable std::mutex failure_mutex_;
  Status failure_;
  std::atomic<uint64_t> commits_{0};
  std::atomic<uint64_t> operations_{0};
  std::atomic<uint64_t> syncs_{0};
  std::vector<std::unique_ptr<Applier>> appliers_;
  std::thread commit_thread_;
};

}  // namespace vs::storage
