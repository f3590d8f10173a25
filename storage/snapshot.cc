#include "storage/snapshot.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "storage/checksum.h"
#include "storage/preflight.h"
#include "storage/store.h"

namespace vs::storage {
namespace {

std::string snapshots_directory(const std::string& directory) { return directory + "/" + kSnapshotsFolder; }

std::string utc_now() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string mib(uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

class SnapshotMaker {
 public:
  SnapshotMaker(const SnapshotSource& source, const std::string& tag, Progress& progress)
      : source_(source),
        files_(source.file_system),
        progress_(progress),
        root_(snapshots_directory(source.directory)),
        final_(root_ + "/" + tag),
        temporary_(root_ + "/." + tag) {
    manifest_.vsd_version = VS_VERSION;
    manifest_.format_version = kFormatVersion;
    manifest_.tag = tag;
  }

  Result<Snapshot> run() {
    Status status = make();
    if (status.ok()) return Snapshot{final_, std::move(manifest_)};
    if (const Status removed = files_.remove_all(temporary_); !removed.ok()) {
      return Status{status.code(), status.message() + "; and what was made of it could not be removed: " +
                                       removed.message() + "; the next start does"};
    }
    return status;
  }

 private:
  Status make() {
    VS_RETURN_IF_ERROR(files_.create_directories(root_));
    VS_RETURN_IF_ERROR(files_.sync_directory(source_.directory));
    VS_RETURN_IF_ERROR(files_.remove_all(temporary_));
    VS_RETURN_IF_ERROR(check_absent());
    // A flush for which there is no room would end writes until there is.
    VS_RETURN_IF_ERROR(check_space(source_.directory, source_.store.next_flush_bytes()));
    VS_RETURN_IF_ERROR(flush());
    VS_RETURN_IF_ERROR(files_.create_directories(temporary_ + "/rocksdb"));
    VS_RETURN_IF_ERROR(take_files());
    VS_RETURN_IF_ERROR(read_checksums());
    VS_RETURN_IF_ERROR(describe_collections());
    return publish();
  }

  Status check_absent() {
    const auto names = files_.list(root_);
    VS_RETURN_IF_ERROR(names.status());
    if (std::find(names->begin(), names->end(), manifest_.tag) == names->end()) return {};
    return {Code::kExists, "there is a snapshot '" + manifest_.tag + "' already; choose another tag, or delete it"};
  }

  Status check_space(const std::string& place, uint64_t needed) {
    VS_ASSIGN_OR_RETURN(const uint64_t free, files_.free_bytes(place));
    if (free >= needed + source_.free_space_reserve_bytes) return {};
    return {Code::kNoSpace, "a snapshot needs " + mib(needed) + " more and leaves " +
                                mib(source_.free_space_reserve_bytes) + " free, " + mib(free) +
                                " are free on the disk of " + place + "; make room"};
  }

  Status flush() {
    const Status status = source_.store.flush();
    if (status.code() != Code::kNoSpace) return status;
    // So says one that failed earlier, too, until somebody asks RocksDB to go on; now there is room.
    const std::lock_guard<std::mutex> lock(source_.commit_mutex);
    VS_RETURN_IF_ERROR(source_.store.resume(LogSpace::Use::kCheckpoint));
    return source_.store.flush();
  }

  // The one moment that the snapshot is of: no write is under way, so the log ends with a whole one.
  Result<Store::LiveFiles> freeze() {
    const std::lock_guard<std::mutex> lock(source_.commit_mutex);
    manifest_.time = utc_now();
    return source_.store.live_files();
  }

  Status take_files() {
    VS_ASSIGN_OR_RETURN(const Store::LiveFiles live, freeze());
    for (const Store::LiveFile& file : live.files) {
      manifest_.files.push_back({.path = "rocksdb/" + file.name, .bytes = file.bytes, .checksum = {}});
      progress_.total += file.bytes;
    }
    for (size_t i = 0; i < live.files.size(); ++i) VS_RETURN_IF_ERROR(take_file(live.files[i], manifest_.files[i]));
    return {};
  }

  Status take_file(const Store::LiveFile& file, Manifest::FileEntry& entry) {
    const std::string from = source_.directory + "/" + entry.path;
    const std::string to = temporary_ + "/" + entry.path;
    if (!file.contents.empty()) {
      entry.checksum = checksum_of(file.contents);
      progress_.done += entry.bytes;
      return write_file(files_, to, file.contents);
    }
    if (file.immutable) {
      const Status linked = files_.link(from, to);
      if (linked.code() != Code::kLimit) return linked;  // else snapshots/ lies on another file system
    }
    VS_RETURN_IF_ERROR(check_space(temporary_, entry.bytes));
    VS_ASSIGN_OR_RETURN(entry.checksum, copy_file(files_, from, to, entry.bytes, progress_));
    return {};
  }

  // Of what was linked.
  Status read_checksums() {
    for (Manifest::FileEntry& entry : manifest_.files) {
      if (!entry.checksum.empty()) continue;
      VS_ASSIGN_OR_RETURN(entry.checksum, checksum_file(files_, temporary_ + "/" + entry.path, entry.bytes, progress_));
    }
    return {};
  }

  // Read from the snapshot itself: one that RocksDB cannot open never gets its name.
  Status describe_collections() {
    VS_ASSIGN_OR_RETURN(const auto store, Store::open(temporary_ + "/rocksdb", source_.store_env, Access::kReadOnly));
    return store->for_each_collection([&](std::string_view key, std::string_view value) -> Status {
      const std::string name(key);
      VS_ASSIGN_OR_RETURN(const CollectionInfo info, decode_info(name, value));
      VS_ASSIGN_OR_RETURN(const Lsn last, store->last_lsn(info.number));
      Manifest::Collection collection{.name = name,
                                      .dim = info.config.dim,
                                      .metric = info.config.metric,
                                      .points = 0,
                                      .lsn = std::max(info.checkpoint_lsn, last)};
      VS_RETURN_IF_ERROR(store->for_each_id(info.number, [&](std::string_view, Lsn) -> Status {
        ++collection.points;
        if (progress_.cancelled.load(std::memory_order_relaxed)) return {Code::kShuttingDown, "cancelled"};
        return {};
      }));
      manifest_.collections.push_back(std::move(collection));
      return {};
    });
  }

  // What the directories name is on the disk already: copies were synced when they were made, tables and blobs by RocksDB.
  Status publish() {
    VS_RETURN_IF_ERROR(write_file(files_, temporary_ + "/" + Manifest::kFileName, encode_manifest(manifest_)));
    VS_RETURN_IF_ERROR(files_.sync_directory(temporary_ + "/rocksdb"));
    VS_RETURN_IF_ERROR(files_.sync_directory(temporary_));
    if (const Status renamed = files_.rename(temporary_, final_); !renamed.ok()) {
      return renamed.code() == Code::kExists ? check_absent() : renamed;
    }
    const Status synced = files_.sync_directory(root_);
    // It may or may not be there after a crash of the system: then better not.
    if (!synced.ok()) VS_RETURN_IF_ERROR(files_.rename(final_, temporary_));
    return synced;
  }

  const SnapshotSource& source_;
  FileSystem& files_;
  Progress& progress_;
  const std::string root_;
  const std::string final_;
  const std::string temporary_;
  Manifest manifest_;
};

}  // namespace

Result<Snapshot> make_snapshot(const SnapshotSource& source, const std::string& tag, Progress& progress) {
  return SnapshotMaker(source, tag, progress).run();
}

Result<std::vector<SnapshotEntry>> list_snapshots(FileSystem& file_system, const std::string& directory) {
  const std::string root = snapshots_directory(directory);
  std::vector<SnapshotEntry> entries;
  auto tags = file_system.list(root);
  if (!tags.ok()) {
    if (tags.status().code() == Code::kNotFound) return entries;
    return tags.status();
  }
  std::sort(tags->begin(), tags->end());
  for (const std::string& tag : *tags) {
    if (!validate_tag(tag).ok()) continue;
    const std::string path = root + "/" + tag;
    entries.push_back({tag, path, read_manifest(file_system, path)});
  }
  return entries;
}

// Hidden first, so that a crash leaves no half of it under its tag.
Status remove_snapshot(FileSystem& file_system, const std::string& directory, const std::string& tag) {
  const std::string root = snapshots_directory(directory);
  // No snapshot that is being made has this name: a tag has no dot in front.
  const std::string hidden = root + "/.." + tag;
  VS_RETURN_IF_ERROR(file_system.remove_all(hidden));
  if (const Status renamed = file_system.rename(root + "/" + tag, hidden); !renamed.ok()) {
    if (renamed.code() != Code::kNotFound) return renamed;
    return {Code::kNotFound, "there is no snapshot '" + tag + "'; SNAPSHOT lists those that are there"};
  }
  VS_RETURN_IF_ERROR(file_system.sync_directory(root));
  return file_system.remove_all(hidden);
}

Status remove_unfinished_snapshots(FileSystem& file_system, const std::string& directory) {
  const std::string root = snapshots_directory(directory);
  const auto names = file_system.list(root);
  if (!names.ok()) return names.status().code() == Code::kNotFound ? Status{} : names.status();
  for (const std::string& name : *names) {
    if (name.starts_with('.')) VS_RETURN_IF_ERROR(file_system.remove_all(root + "/" + name));
  }
  return {};
}

}  // namespace vs::storage
