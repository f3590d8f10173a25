#include "tests/crash/disk_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

namespace vs::crash {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPage = 4096;
constexpr size_t kWord = 4;

// Only those change in place.
bool is_mapped(const std::string& path) { return path.ends_with(".dat"); }

}  // namespace

std::string_view call_name(Call call) {
  constexpr std::string_view kNames[] = {"open",  "mmap",   "read",   "write", "fallocate", "ftruncate", "msync",
                                         "fsync", "rename", "remove", "mkdir", "link",      "statfs"};
  return kNames[static_cast<size_t>(call)];
}

Inode::Inode(const std::string& path) : descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  VS_CHECK(descriptor >= 0);
}

Inode::~Inode() { ::close(descriptor); }

std::string Inode::content() const {
  struct stat status {};
  VS_CHECK(::fstat(descriptor, &status) == 0);
  std::string bytes(static_cast<size_t>(status.st_size), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::pread(descriptor, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    VS_CHECK(n >= 0);
    if (n == 0) break;  // it was cut meanwhile
    done += static_cast<size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

SimulatedDisk::Impl::Impl(SimulatedDisk& disk, const std::string& root) : disk_(disk), root_(root) {
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const std::string path = entry.path().string();
    if (entry.is_directory()) {
      names_[path] = nullptr;
    } else {
      names_[path] = std::make_shared<Inode>(path);
      names_[path]->durable = names_[path]->content();
    }
  }
  durable_names_ = names_;
}

int SimulatedDisk::Impl::enter(Call call, const std::string& path) {
  return disk_.on_call ? disk_.on_call(call, path) : 0;
}

void SimulatedDisk::Impl::linked(const std::string& path) {
  const auto node = std::make_shared<Inode>(path);
  names_[path] = node;
  unsynced_[parent(path)].push_back({{{path, node}}});
}

void SimulatedDisk::Impl::made_directory(const std::string& path) {
  if (path.size() <= root_.size() || names_.contains(path)) return;
  names_[path] = nullptr;
  unsynced_[parent(path)].push_back({{{path, Node()}}});
}

void SimulatedDisk::Impl::shared(const std::string& from, const std::string& to) {
  const auto found = names_.find(from);
  VS_CHECK(found != names_.end());
  names_[to] = found->second;
  unsynced_[parent(to)].push_back({{{to, found->second}}});
}

void SimulatedDisk::Impl::renamed(const std::string& from, const std::string& to) {
  VS_CHECK(names_.contains(from));
  Change change;
  std::map<std::string, Node> moved;
  for (const auto& [name, node] : names_) {
    if (name != from && !name.starts_with(from + "/")) continue;
    moved[name] = node;
    const std::string later = to + name.substr(from.size());
    change.names.emplace_back(name, std::nullopt);
    // What was not durable below a directory does not become so when its own name does.
    if (name == from || durable_names_.contains(name)) change.names.emplace_back(later, node);
    if (const auto unsynced = unsynced_.extract(name)) {
      for (Change& inner : unsynced.mapped()) {
        for (auto& [path, unused] : inner.names) path = to + path.substr(from.size());
      }
      unsynced_[later] = std::move(unsynced.mapped());
    }
  }
  for (const auto& [name, node] : moved) {
    names_.erase(name);
    names_[to + name.substr(from.size())] = node;
  }
  unsynced_[parent(to)].push_back(std::move(change));
}

void SimulatedDisk::Impl::removed(const std::string& path) {
  std::vector<std::string> gone;
  for (const auto& [name, node] : names_) {
    if (name == path || name.starts_with(path + "/")) gone.push_back(name);
  }
  for (auto name = gone.rbegin(); name != gone.rend(); ++name) {
    names_.erase(*name);
    unsynced_[parent(*name)].push_back({{{*name, std::nullopt}}});
  }
}

void SimulatedDisk::Impl::sync_point() {
  if (disk_.on_sync) disk_.on_sync();
  for (const auto& [name, node] : names_) {
    if (!node || !is_mapped(name)) continue;
    std::string now = node->content();
    if (now == (node->later.empty() ? node->durable : node->later.back())) continue;
    node->later.push_back(std::move(now));
    if (node->later.size() > kStatesMax) node->later.erase(node->later.begin());
  }
}

void SimulatedDisk::Impl::synced(const std::string& path, size_t bytes) {
  sync_point();
  const auto found = names_.find(path);
  if (found == names_.end()) return;  // removed meanwhile
  Inode& inode = *found->second;
  std::string now = inode.content();
  if (bytes == std::string::npos) {
    inode.durable = std::move(now);
    inode.later.clear();
    return;
  }
  bytes = std::min({bytes, now.size(), inode.durable.size()});
  std::memcpy(inode.durable.data(), now.data(), bytes);
  // What was there before is no longer possible in that range.
  for (std::string& state : inode.later) {
    state.resize(std::max(state.size(), bytes));
    std::memcpy(state.data(), now.data(), bytes);
  }
}

void SimulatedDisk::Impl::synced_directory(const std::string& path) {
  sync_point();
  for (const Change& change : unsynced_[path]) {
    for (const auto& [name, node] : change.names) {
      if (node) {
        durable_names_[name] = *node;
      } else {
        durable_names_.erase(name);
      }
    }
  }
  unsynced_[path].clear();
}

Snapshot SimulatedDisk::Impl::snapshot() {
  Snapshot snapshot;
  snapshot.root = root_;
  std::map<const Inode*, int> numbers;
  const auto number = [&](const Node& node) {
    if (!node) return Snapshot::kDirectory;
    const auto [found, added] = numbers.emplace(node.get(), static_cast<int>(snapshot.files.size()));
    if (added) {
      Snapshot::File& file = snapshot.files.emplace_back();
      file.durable = node->durable;
      file.later = node->later;
      file.later.push_back(node->content());
    }
    return found->second;
  };
  for (const auto& [name, node] : durable_names_) snapshot.names[name] = number(node);
  for (const auto& [directory, changes] : unsynced_) {
    for (const Change& change : changes) {
      Snapshot::Change& copy = snapshot.unsynced[directory].emplace_back();
      for (const auto& [name, node] : change.names)
        copy.names.emplace_back(name, node ? number(*node) : Snapshot::kGone);
    }
  }
  return snapshot;
}

namespace {

class ImageMaker {
 public:
  ImageMaker(const Snapshot& snapshot, uint64_t seed) : snapshot_(snapshot), random_(seed) {
    // From "nothing unsynced arrived" to "all of it did".
    constexpr double kShares[] = {0, 0.05, 0.5, 0.95, 1};
    share_ = kShares[below(5)];
  }

  void write(const std::string& directory) {
    std::map<std::string, int> names = snapshot_.names;
    for (const auto& [parent, changes] : snapshot_.unsynced) {
      const size_t arrived = chance(share_) ? below(changes.size() + 1) : (chance(0.5) ? 0 : changes.size());
      for (size_t i = 0; i < arrived; ++i) {
        for (const auto& [name, file] : changes[i].names) {
          if (file == Snapshot::kGone) {
            names.erase(name);
          } else {
            names[name] = file;
          }
        }
      }
    }
    fs::create_directories(directory);
    std::set<std::string> made = {snapshot_.root};
    for (const auto& [name, file] : names) {  // parents come before what is in them
      if (!made.contains(name.substr(0, name.rfind('/')))) continue;
      const std::string place = directory + name.substr(snapshot_.root.size());
      if (file == Snapshot::kDirectory) {
        fs::create_directory(place);
        made.insert(name);
      } else {
        const Snapshot::File& contents = snapshot_.files[static_cast<size_t>(file)];
        const std::string bytes = is_mapped(name) ? mapped_content(contents) : appended_content(contents);
        std::ofstream(place, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
      }
    }
  }

 private:
  size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  bool chance(double p) { return std::uniform_real_distribution<double>(0, 1)(random_) < p; }

  // RocksDB's files only grow, and ext4 and XFS write what is appended before the size that makes it visible: so a first
  // part of it has arrived, but no hole.
  std::string appended_content(const Snapshot::File& file) {
    const std::string& now = file.later.back();
    const size_t unsynced = now.size() - std::min(file.durable.size(), now.size());
    const size_t arrived = unsynced == 0 || !chance(share_) ? 0 : chance(0.3) ? unsynced : below(unsynced + 1);
    return now.substr(0, file.durable.size() + arrived);
  }

  std::string mapped_content(const Snapshot::File& file) {
    const size_t size = chance(0.5) ? file.durable.size() : file.later.back().size();
    std::string bytes = file.durable;
    bytes.resize(size);
    std::vector<std::string> states = file.later;
    for (std::string& state : states) state.resize(size);
    for (size_t page = 0; page < size; page += kPage) {
      if (!chance(share_)) continue;
      const size_t length = std::min(kPage, size - page);
      if (chance(0.5)) {
        std::memcpy(&bytes[page], &states[below(states.size())][page], length);
        continue;
      }
      for (size_t word = page; word < page + length; word += kWord) {
        const size_t state = below(states.size() + 1);
        if (state == states.size()) continue;
        std::memcpy(&bytes[word], &states[state][word], std::min(kWord, size - word));
      }
    }
    return bytes;
  }

  const Snapshot& snapshot_;
  std::mt19937_64 random_;
  double share_;
};

}  // namespace

void Snapshot::write_image(const std::string& directory, uint64_t seed) const {
  ImageMaker(*this, seed).write(directory);
}

}  // namespace vs::crash
