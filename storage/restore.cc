#include "storage/restore.h"

#include <algorithm>
#include <set>

#include "storage/checksum.h"
#include "storage/preflight.h"

namespace vs::storage {
namespace {

Status damaged(const std::string& path, const std::string& what) {
  return {Code::kCorrupt,
          path + " " + what + ": the snapshot is damaged or not whole; nothing was restored. Use another"};
}

// A file that is not the manifest's may be a log, which RocksDB would read.
Status check_nothing_else(FileSystem& file_system, const std::string& snapshot, const Manifest& manifest) {
  std::set<std::string> known = {Manifest::kFileName, "rocksdb"};
  for (const Manifest::FileEntry& file : manifest.files) known.insert(file.path);
  for (const std::string folder : {"", "rocksdb/"}) {
    const auto names = file_system.list(snapshot + "/" + folder);
    if (names.status().code() == Code::kNotFound) return damaged(snapshot + "/" + folder, "is missing");
    VS_RETURN_IF_ERROR(names.status());
    for (const std::string& name : *names) {
      if (!known.contains(folder + name)) {
        return damaged(snapshot + "/" + folder + name, "is not in the manifest, so it does not belong there");
      }
    }
  }
  return {};
}

Status check_sizes(FileSystem& file_system, const std::string& snapshot, const Manifest& manifest) {
  for (const Manifest::FileEntry& entry : manifest.files) {
    const std::string path = snapshot + "/" + entry.path;
    const auto file = file_system.open(path, Access::kReadOnly);
    if (file.status().code() == Code::kNotFound) return damaged(path, "is missing");
    VS_RETURN_IF_ERROR(file.status());
    VS_ASSIGN_OR_RETURN(const uint64_t size, (*file)->size());
    if (size != entry.bytes) {
      return damaged(path, "has " + std::to_string(size) + " bytes, expected were " + std::to_string(entry.bytes));
    }
  }
  return {};
}

Status compare(const std::string& path, const std::string& found, const Manifest::FileEntry& entry) {
  if (found == entry.checksum) return {};
  return damaged(path, "has the checksum " + found + ", expected was " + entry.checksum);
}

// What may stand there before: nothing, what a restore left that did not end, and what a new ext4 has.
Status check_empty(FileSystem& file_system, const std::string& directory) {
  const auto names = file_system.list(directory);
  if (!names.ok()) return names.status().code() == Code::kNotFound ? Status{} : names.status();
  const std::set<std::string> allowed = {"LOCK", kRestoringFolder, "lost+found"};
  const auto other =
      std::find_if(names->begin(), names->end(), [&](const std::string& name) { return !allowed.contains(name); });
  if (other == names->end()) return {};
  const bool database = std::find(names->begin(), names->end(), "rocksdb") != names->end();
  return {Code::kBadArgument, "a restore needs a directory that is missing or empty, " + directory +
                                  (database ? " holds a database: start vsd without --restore to serve it, or name "
                                            : " holds '" + *other + "': name ") +
                                  "another with --data-dir"};
}

Status copy_files(FileSystem& file_system, const std::string& snapshot, const std::string& to, const Manifest& manifest,
                  Progress& progress) {
  VS_RETURN_IF_ERROR(file_system.remove_all(to));
  VS_RETURN_IF_ERROR(file_system.create_directories(to));
  VS_ASSIGN_OR_RETURN(const uint64_t free, file_system.free_bytes(to));
  if (free < manifest.bytes()) {
    return {Code::kNoSpace, "the snapshot has " + std::to_string(manifest.bytes() >> 20) + " MiB, " +
                                std::to_string(free >> 20) + " MiB are free on the disk of " + to + "; make room"};
  }
  for (const Manifest::FileEntry& entry : manifest.files) {
    const std::string from = snapshot + "/" + entry.path;
    const std::string name = entry.path.substr(entry.path.rfind('/') + 1);
    VS_ASSIGN_OR_RETURN(const std::string checksum,
                        copy_file(file_system, from, to + "/" + name, entry.bytes, progress));
    VS_RETURN_IF_ERROR(compare(from, checksum, entry));  // again: these are the bytes that count
  }
  return file_system.sync_directory(to);
}

}  // namespace

Result<Manifest> verify_snapshot(FileSystem& file_system, const std::string& snapshot, Progress& progress) {
  auto manifest = read_manifest(file_system, snapshot);
  if (manifest.status().code() == Code::kNotFound) {
    return Status{Code::kCorrupt, snapshot + " is no snapshot, or not a whole one: it has no " + Manifest::kFileName};
  }
  VS_RETURN_IF_ERROR(manifest.status());
  if (manifest->format_version != kFormatVersion) {
    return Status{Code::kCorrupt, snapshot + " has format version " + manifest->format_version +
                                      ", this vsd reads version " + std::string(kFormatVersion) + "; use vsd " +
                                      manifest->vsd_version + ", which made it"};
  }
  // What is quickly seen comes first.
  VS_RETURN_IF_ERROR(check_nothing_else(file_system, snapshot, *manifest));
  VS_RETURN_IF_ERROR(check_sizes(file_system, snapshot, *manifest));
  for (const Manifest::FileEntry& entry : manifest->files) {
    const std::string path = snapshot + "/" + entry.path;
    VS_ASSIGN_OR_RETURN(const std::string checksum, checksum_file(file_system, path, entry.bytes, progress));
    VS_RETURN_IF_ERROR(compare(path, checksum, entry));
  }
  return manifest;
}

Result<Manifest> restore_snapshot(FileSystem& file_system, const std::string& snapshot, const std::string& directory,
                                  Progress& progress) {
  VS_RETURN_IF_ERROR(check_empty(file_system, directory));
  VS_ASSIGN_OR_RETURN(Manifest manifest, verify_snapshot(file_system, snapshot, progress));
  const std::string restoring = directory + "/" + kRestoringFolder;
  // This name before any other, so that whatever a crash leaves is not taken for a new data directory.
  VS_RETURN_IF_ERROR(file_system.create_directories(restoring));
  VS_RETURN_IF_ERROR(file_system.sync_directory(directory));
  VS_ASSIGN_OR_RETURN(const auto lock, file_system.lock(directory + "/LOCK", Access::kReadWrite));
  VS_RETURN_IF_ERROR(check_empty(file_system, directory));  // another one may have been faster
  if (const Status copied = copy_files(file_system, snapshot, restoring, manifest, progress); !copied.ok()) {
    // If this fails, too, what is left is refused by a start and replaced by the next restore.
    static_cast<void>(file_system.remove_all(restoring));
    return copied;
  }
  VS_RETURN_IF_ERROR(file_system.rename(restoring, directory + "/rocksdb"));
  VS_RETURN_IF_ERROR(file_system.sync_directory(directory));
  return manifest;
}

}  // namespace vs::storage
