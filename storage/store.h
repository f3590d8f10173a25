// RocksDB with this database's column families. What is in here is the truth; the mapped files are derived from it.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/file_system.h"
#include "storage/log_space.h"
#include "storage/record.h"

namespace vs::storage {

class Store {
 public:
  // Whether a RocksDB with all families of this database stands there. False for one whose creation was interrupted.
  // Errors: kIoError, kCorrupt.
  static Result<bool> exists(const std::string& directory, rocksdb::Env* env);
  // kReadOnly changes no byte on the disk; what was not flushed is read from the log. `env`: null for the real disk.
  // `disk_bytes`: the size of the file system; on a small one buffers in memory, and with them the log, are small.
  // Errors: kIoError, kNoSpace, kCorrupt.
  static Result<std::unique_ptr<Store>> open(const std::string& directory, rocksdb::Env* env, Access access,
                                             uint64_t disk_bytes = ~uint64_t{0});
  // Of a store that was opened read-only from there. Errors: kCorrupt: the log is damaged, and whole operations stand behind
  // the damage, which were acknowledged therefore. RocksDB leaves them out, as it does what a crash of the system tore at
  // the log's end.
  Status check_log(const std::string& directory, rocksdb::Env* env) const;
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // Atomic changes to be given to write().
  class Batch {
   public:
    explicit Batch(Store& store) : store_(store) {}
    void put_record(CollectionNumber collection, Lsn lsn, std::string_view value);
    void delete_record(CollectionNumber collection, Lsn lsn);
    void put_id(CollectionNumber collection, std::string_view id, Lsn lsn);
    void delete_id(CollectionNumber collection, std::string_view id);
    void put_info(std::string_view name, const CollectionInfo& info);
    // The collection's configuration, ids and log.
    void delete_collection(std::string_view name, CollectionNumber collection);
    void put_meta(std::string_view key, std::string_view value);
    void delete_meta(std::string_view key);
    uint64_t bytes() const { return batch_.GetDataSize(); }

   private:
    friend class Store;
    Store& store_;
    rocksdb::WriteBatch batch_;
  };
  // Makes room for the batch in the log: after this a full disk does not make write() fail. Errors: kNoSpace.
  Status make_room(const Batch& batch, LogSpace::Use use);
  // What the next flush will take on the disk, about: tables, and the log that is kept for the one after it.
  uint64_t next_flush_bytes() const;
  // `sync`: returns when it is on disk, with everything written before. Errors: kNoSpace and kCorrupt: RocksDB takes no
  // writes, this one did not reach the log; kIoError: it may have, and the log cannot be used any further.
  Status write(Batch& batch, bool sync);
  // Brings everything written so far to the disk.
  Status sync();
  // To be called when the database is open. A compaction that finds damage ends all writes: if it began earlier, it would
  // keep vsd from starting, and all that is not damaged from being read.
  Status start_compactions();
  // Takes writes again after one failed with kNoSpace: RocksDB flushes what it has in memory. A drop may use the
  // ballast's blocks for that. Errors: kNoSpace and others; then nothing has changed.
  Status resume(LogSpace::Use use);

  // A state of the database to read while it is written to; lasts as long as this lives.
  using Snapshot = std::shared_ptr<const rocksdb::Snapshot>;
  Snapshot snapshot() const;
  // LSN of the id's present record; nullopt if there is no such point.
  Result<std::optional<Lsn>> find_id(CollectionNumber collection, std::string_view id,
                                     const Snapshot& snapshot = nullptr) const;
  // Errors: kNotFound.
  Result<std::string> get_record(CollectionNumber collection, Lsn lsn) const;
  // Calls `visit` for each record with an LSN greater than `after`, in order, until it returns an error. `snapshot` may
  // be null.
  Status for_each_record(CollectionNumber collection, Lsn after,
                         const std::function<Status(Lsn, std::string_view)>& visit,
                         const Snapshot& snapshot = nullptr) const;
  Status for_each_id(CollectionNumber collection, const std::function<Status(std::string_view, Lsn)>& visit) const;
  // LSN of the last record; 0 if there is none.
  Result<Lsn> last_lsn(CollectionNumber collection) const;
  Status for_each_collection(const std::function<Status(std::string_view, std::string_view)>& visit) const;
  Result<std::optional<std::string>> get_meta(std::string_view key) const;

  // Rewrites the collection's records without those that were deleted, whose bytes are free then. `cancelled` may be set
  // meanwhile. Errors: kShuttingDown (it was), kNoSpace, kCorrupt, kIoError.
  Status compact_records(CollectionNumber collection, std::atomic<bool>& cancelled);
  // What compact_records() may take on the disk while it runs.
  uint64_t records_bytes() const;
  // Writes what is in memory to table files, so that the next open has nothing to replay.
  Status flush();

  // The files that together hold what was written up to now. None of them is deleted while `hold` lives.
  struct LiveFile {
    std::string name;        // in the directory
    uint64_t bytes = 0;      // the first ones count
    bool immutable = false;  // a table or blob file: a hard link is as good as a copy
    std::string contents;    // of a file that is written for the copy; else empty
  };
  struct LiveFiles {
    std::vector<LiveFile> files;
    std::shared_ptr<void> hold;
  };
  // REQUIRES: nothing is written meanwhile. Errors: kIoError, kCorrupt.
  Result<LiveFiles> live_files() const;

 private:
  Store() = default;
  std::unique_ptr<rocksdb::Iterator> iterate(rocksdb::ColumnFamilyHandle* family,
                                             const rocksdb::ReadOptions& options) const;

  std::unique_ptr<LogSpace> log_space_;  // outlives db_; null for one that is only read
  std::unique_ptr<rocksdb::DB> db_;
  std::shared_ptr<std::atomic<bool>> log_broken_ = std::make_shared<std::atomic<bool>>(false);  // a write to it failed
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;  // owned by db_, given back before it goes
  rocksdb::ColumnFamilyHandle* records_ = nullptr;
  rocksdb::ColumnFamilyHandle* ids_ = nullptr;
  rocksdb::ColumnFamilyHandle* collections_ = nullptr;
  rocksdb::ColumnFamilyHandle* meta_ = nullptr;
  std::string log_damage_;  // what a read-only open saw
};

}  // namespace vs::storage
