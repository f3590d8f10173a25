// Snapshots: DIRECTORY/snapshots/TAG/ holds RocksDB as it was at one moment, and a manifest. It is itself laid out like a
// data directory, without the mapped files, which are derived: vsd starts from a copy of it and rebuilds them.
//
// Tables and blobs, nearly all of it, are hard links of the files in use, which never change; the rest is copied. It
// appears under its tag by a rename when everything in it is on the disk. Names that begin with a dot are unfinished or
// about to go.
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "storage/check.h"
#include "storage/config.h"
#include "storage/manifest.h"

namespace vs::storage {

class Store;

inline constexpr const char* kSnapshotsFolder = "snapshots";

struct Snapshot {
  std::string path;
  Manifest manifest;
};

// An entry of a listing.
struct SnapshotEntry {
  std::string tag;
  std::string path;
  Result<Manifest> manifest;
};

struct SnapshotSource {
  FileSystem& file_system;
  rocksdb::Env* store_env;
  Store& store;
  // No write is under way while it is held.
  std::mutex& commit_mutex;
  const std::string& directory;
  uint64_t free_space_reserve_bytes;
};

// REQUIRES: `tag` is valid; one at a time. What was acknowledged before the call is in it, every operation wholly or not
// at all. Errors: kExists, kNoSpace, kShuttingDown (cancelled), kCorrupt, kIoError; nothing is left behind.
Result<Snapshot> make_snapshot(const SnapshotSource& source, const std::string& tag, Progress& progress);
// By tag. Reads the manifests, not the files.
Result<std::vector<SnapshotEntry>> list_snapshots(FileSystem& file_system, const std::string& directory);
// Errors: kNotFound, kIoError.
Status remove_snapshot(FileSystem& file_system, const std::string& directory, const std::string& tag);
// What a crash left of snapshots that were being made or removed.
Status remove_unfinished_snapshots(FileSystem& file_system, const std::string& directory);

}  // namespace vs::storage
