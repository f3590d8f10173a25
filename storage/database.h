// The data directory: its lock, its RocksDB, its collections and the threads that write them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/api.h"
#include "storage/check.h"
#include "storage/rebuild.h"
#include "storage/snapshot.h"

namespace vs::storage {

class Collection;

// All functions may be called from any thread.
class Database {
 public:
  // Creates the directory if it is missing, locks it, recovers every collection. Errors: kBusy (another process holds
  // the directory), kCorrupt (what and where; nothing was changed), kIoError, kNoSpace.
  static Result<std::unique_ptr<Database>> open(const DatabaseOptions& options);
  // Like close(); its status is lost.
  ~Database();

  // Returns the completed configuration. Errors: kBadArgument, kExists, kLimit, kNoSpace, kIoError.
  Result<CollectionConfig> create(std::string_view name, const CollectionConfig& config);
  // The points are gone when this returns; files go with their last reader. Errors: kNotFound, kIoError.
  Status drop(std::string_view name);
  // Changes the ef of searches that name none, for those that begin after this returns, and durably. Returns the whole
  // configuration. Errors: kNotFound, kBadArgument, kNoSpace, kShuttingDown, kIoError; kCorrupt (it could not be opened).
  Result<CollectionConfig> alter(std::string_view name, uint32_t ef_search);
  // In the order of their names.
  std::vector<std::string> names() const;
  // Errors: kNotFound; kCorrupt for a collection that could not be opened (the message says why and what to do).
  Result<std::shared_ptr<Collection>> find(std::string_view name) const;

  // Brings the mapped files of all collections to disk. Returns the sum of their checkpoint LSNs.
  Result<Lsn> checkpoint();
  DatabaseStats stats() const;
  // May take long: `progress` tells how far it is, and cancels it. Errors: kNotFound, kIoError, kNoSpace, kShuttingDown (it was cancelled).
  Result<CheckReport> check(std::string_view name, const CheckOptions& options, Progress& progress);

  // Writes a collection's mapped files anew from RocksDB, without its deleted points, and then RocksDB's records likewise.
  // Reads and writes go on. Errors: those of `options`, kBadArgument; kNotFound, kNoSpace, kLimit, kCorrupt, kIoError,
  // kShuttingDown (it was cancelled): the old files go on.
  Result<RebuildReport> rebuild(std::string_view name, const RebuildOptions& options, Progress& progress);
  // `due` is called with the name of a collection whose deleted points are worth a compaction, from a thread of the
  // database that it must not hold up: once for each generation, and again after a while if that stays.
  void on_compaction_due(std::function<void(const std::string&)> due);
  // Snapshots in the data directory (snapshot.h). One is made at a time; `progress` counts bytes. REQUIRES: `tag` is valid.
  Result<Snapshot> make_snapshot(const std::string& tag, Progress& progress);
  Result<std::vector<SnapshotEntry>> snapshots() const;
  Status remove_snapshot(const std::string& tag);

  // Refuses new writes with kShuttingDown, waits for those under way, checkpoints, and closes RocksDB. Idempotent.
  Status close();

 private:
  class Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vs::storage
