// What a SimulatedDisk remembers: files, names, and which of both are durable. The wrappers around the database's and
// RocksDB's file interfaces report to it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tests/crash/simulated_disk.h"

namespace vs::crash {

struct Inode {
  explicit Inode(const std::string& path);  // opens the file, so that it can be read after its name is gone
  Inode(const Inode&) = delete;
  Inode& operator=(const Inode&) = delete;
  ~Inode();
  std::string content() const;

  int descriptor;
  std::string durable;
  std::vector<std::string> later;  // kept at sync points, at most kStatesMax
};

class SimulatedDisk::Impl {
 public:
  static constexpr size_t kStatesMax = 3;

  Impl(SimulatedDisk& disk, const std::string& root);

  // 0, or the errno with which the call must fail.
  int enter(Call call, const std::string& path);

  // After the real call was made.
  void linked(const std::string& path);  // a new file, or one whose path is not known yet
  void made_directory(const std::string& path);
  void shared(const std::string& from, const std::string& to);   // one file, two names
  void renamed(const std::string& from, const std::string& to);  // with everything below
  void removed(const std::string& path);                         // with everything below
  // The first `bytes` of the file are durable; all of them and its size for npos.
  void synced(const std::string& path, size_t bytes);
  void synced_directory(const std::string& path);

  Snapshot snapshot();
  std::recursive_mutex& mutex() { return mutex_; }

 private:
  using Node = std::shared_ptr<Inode>;  // null: a directory
  struct Change {
    std::vector<std::pair<std::string, std::optional<Node>>> names;  // nullopt: the name goes
  };
  static std::string parent(const std::string& path) { return path.substr(0, path.rfind('/')); }
  void sync_point();

  SimulatedDisk& disk_;
  const std::string root_;
  std::recursive_mutex mutex_;
  std::map<std::string, Node> names_;
  std::map<std::string, Node> durable_names_;
  std::map<std::string, std::vector<Change>> unsynced_;
};

}  // namespace vs::crash
