// A disk for tests: it stands between the database and the real files, and can lose power or fail.
//
// It passes every call on to real files below one directory, except that it syncs nothing, and remembers what a disk that
// loses power now would hold: of each file the bytes of the last sync, of each directory the names of its last sync.
// snapshot() takes that together with everything that is not synced; Snapshot::write_image() makes a directory of it in
// which a random part of the rest has reached the disk, too:
//   - of a mapped file, any pages, in any states they had since the sync, whole or as a mix of aligned 32-bit words; and
//     its old or its new size
//   - of a file of RocksDB, any first part of what was appended
//   - of a directory, any number of its changes, in their order (a rename is one change)
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "storage/file_system.h"

namespace rocksdb {
class Env;
}

namespace vs::crash {

enum class Call {
  kOpen,
  kMap,
  kRead,
  kWrite,
  kAllocate,
  kTruncate,
  kMsync,
  kFsync,
  kRename,
  kRemove,
  kMkdir,
  kLink,
  kFreeSpace,
  kCount
};
std::string_view call_name(Call call);

struct Snapshot {
  struct File {
    std::string durable;
    std::vector<std::string> later;  // states since then, oldest first; the last is the present one
  };
  struct Change {
    // File numbers by path; kDirectory for a directory, kGone for a name that goes.
    std::vector<std::pair<std::string, int>> names;
  };
  static constexpr int kGone = -1;
  static constexpr int kDirectory = -2;

  std::string root;
  std::vector<File> files;
  std::map<std::string, int> names;                     // durable ones
  std::map<std::string, std::vector<Change>> unsynced;  // by directory

  // Makes `directory` what the disk might hold. The same seed gives the same image.
  void write_image(const std::string& directory, uint64_t seed) const;
};

class SimulatedDisk {
 public:
  // What is below `root` is taken as durable.
  explicit SimulatedDisk(const std::string& root);
  ~SimulatedDisk();
  SimulatedDisk(const SimulatedDisk&) = delete;
  SimulatedDisk& operator=(const SimulatedDisk&) = delete;

  storage::FileSystem& files();
  rocksdb::Env* env();

  // Called before each call: 0 lets it pass, an errno makes it fail without any effect. May be empty.
  std::function<int(Call, const std::string& path)> on_call;
  // Called before each sync, and before anything else may happen on this disk. May be empty.
  std::function<void()> on_sync;
  // REQUIRES: called from on_sync, or when nobody uses the disk.
  Snapshot snapshot();

  class Impl;

 private:
  std::unique_ptr<Impl> impl_;
  std::unique_ptr<class Wrappers> wrappers_;
};

}  // namespace vs::crash
