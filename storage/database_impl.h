// The inside of a Database: what is shared by those who open it (database_open.cc), keep its checkpoints and end it
// (maintenance.cc), and change the set of its collections (database.cc).
#pragma once

#include <chrono>
#include <condition_variable>
#include <map>
#include <shared_mutex>
#include <thread>

#include "storage/commit_queue.h"
#include "storage/database.h"
#include "storage/preflight.h"
#include "storage/vacuumer.h"

namespace vs::storage {

class Database::Impl {
 public:
  explicit Impl(const DatabaseOptions& options)
      : options_(options), file_system_(options.file_system != nullptr ? *options.file_system : posix_file_system()) {
    if (options_.threads == 0) options_.threads = std::max(1u, std::thread::hardware_concurrency());
    if (options_.rebuild_threads == 0) options_.rebuild_threads = std::max(1u, options_.threads / 2);
  }
  ~Impl() { static_cast<void>(close()); }

  Status open();
  Result<CollectionConfig> create(std::string_view name, const CollectionConfig& config);
  Status drop(std::string_view name);
  Result<CollectionConfig> alter(std::string_view name, uint32_t ef_search);
  std::vector<std::string> names() const;
  Result<std::shared_ptr<Collection>> find(std::string_view name) const;
  Result<Lsn> checkpoint();
  Result<CheckReport> check(std::string_view name, const CheckOptions& options, Progress& progress);
  Result<RebuildReport> rebuild(std::string_view name, const RebuildOptions& options, Progress& progress);
  void on_compaction_due(std::function<void(const std::string&)> due);
  Result<Snapshot> make_snapshot(const std::string& tag, Progress& progress);
  Result<std::vector<SnapshotEntry>> snapshots() const { return list_snapshots(file_system_, options_.directory); }
  Status remove_snapshot(const std::string& tag) {
    return storage::remove_snapshot(file_system_, options_.directory, tag);
  }
  DatabaseStats stats() const;
  Status close();

 private:
  using Clock = std::chrono::steady_clock;

  struct Entry {
    CollectionInfo info;                         // number and generation, to drop it even when it is broken
    std::shared_ptr<CollectionImpl> collection;  // null when it could not be opened
    Status why;
  };

  Status open_store();
  Status open_collections(const LastRun& last);
  Status remove_orphans();
  StorageContext context();
  void every_second(const std::function<void()>& work);
  void maintain();
  void sync_what_was_written();
  void checkpoint_what_is_due();
  void encode_what_is_due();
  void encode_again_if_due(CollectionImpl& collection);
  void learn_pca_if_due(CollectionImpl& collection);
  void lock_hot_files(const CollectionImpl& collection);
  bool checkpoint_due(CollectionImpl& collection, Clock::time_point now);
  void ask_for_compactions();
  Result<std::shared_ptr<CollectionImpl>> find_open(std::string_view name) const;
  std::vector<std::shared_ptr<CollectionImpl>> collections() const;
  Status checkpoint_all();

  DatabaseOptions options_;
  FileSystem& file_system_;
  std::unique_ptr<DirectoryLock> lock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<CommitQueue> queue_;
  mutable std::shared_mutex entries_mutex_;
  std::map<std::string, Entry, std::less<>> entries_;
  uint32_t next_number_ = 1;

  std::mutex structure_mutex_;   // one check or rebuild at a time; taken before all others
  std::mutex checkpoint_mutex_;  // one checkpoint at a time
  std::mutex snapshot_mutex_;    // one snapshot is made at a time
  std::atomic<uint64_t> checkpoints_{0};
  std::mutex maintenance_mutex_;
  std::condition_variable maintenance_changed_;
  bool closing_ = false;
  std::thread maintenance_;
  std::thread syncer_;
  std::thread encoder_;
  std::unique_ptr<Vacuumer> vacuumer_;
  std::map<CollectionNumber, Clock::time_point> waiting_since_;  // of maintain(): first operation after a checkpoint
  std::function<void(const std::string&)> compaction_due_;       // under maintenance_mutex_
  struct Asked {
    uint64_t generation;
    Clock::time_point when;
  };
  std::map<CollectionNumber, Asked> asked_;  // of maintain(): for compactions
  // Of the encoder's thread: when files could not be locked the last time.
  std::map<CollectionNumber, Clock::time_point> not_locked_since_;
  std::mutex close_mutex_;
  bool opened_ = false;  // else there is nothing to close: the last run's end stays as unclean as it was
  bool closed_ = false;
};

}  // namespace vs::storage
