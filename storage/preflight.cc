#include "storage/preflight.h"

#include <charconv>

#include "storage/collection_impl.h"
#include "storage/restore.h"

namespace vs::storage {
namespace {

// The mapped files are touched only when an operation is durable. So after a process that synced every operation, none of
// them may know more than RocksDB does: of a point with a later LSN, of a deletion, of a point at all. Rows say so
// credibly, since they have checksums. What cannot be read here is for recovery to rebuild.
//
// This holds after a clean end, too, and is looked at then as well: what says that a run has not ended cleanly stands in
// the log itself, and goes with it.
class Evidence {
 public:
  Evidence(const Store& store, const std::string& name, const CollectionInfo& info, const Generation& generation)
      : store_(store), name_(name), info_(info), generation_(generation), current_(info.slots) {}

  bool found_loss() const { return found_loss_; }
  // Errors: kCorrupt: a loss was found, or RocksDB cannot read what is asked for.
  Status look() {
    VS_ASSIGN_OR_RETURN(const Lsn last_record, store_.last_lsn(info_.number));
    last_ = std::max(info_.checkpoint_lsn, last_record);
    VS_RETURN_IF_ERROR(store_.for_each_id(info_.number, [&](std::string_view id, Lsn lsn) {
      // One that is not found is a damage of the rows, which RocksDB mends.
      const auto slot = generation_.find(lsn);
      if (!slot || generation_.id(*slot) != id) return Status{};
      current_[slot->value] = true;
      return generation_.has_flag(*slot, Row::kDead) ? lost_deletion(lsn) : Status{};
    }));
    VS_RETURN_IF_ERROR(look_at_live_rows());
    Status status;
    generation_.for_each_row_behind([&](const Row& row, std::string_view id) {
      if (status.ok()) status = look_at_row_behind(row, id);
    });
    return status;
  }

 private:
  // Each must be the current one of its id, or one that the log behind the checkpoint replaces or deletes.
  Status look_at_live_rows() {
    std::vector<Slot> suspects;
    for (Slot slot{0}; slot.value < info_.slots; ++slot.value) {
      if (!current_[slot.value] && !generation_.has_flag(slot, Row::kDead)) suspects.push_back(slot);
    }
    if (suspects.empty()) return {};
    std::vector<bool> replaced(info_.slots);
    VS_RETURN_IF_ERROR(
        store_.for_each_record(info_.number, info_.checkpoint_lsn, [&](Lsn, std::string_view value) -> Status {
          const auto record = decode_record(value, info_.config.dim);
          if (!record.ok()) return {};  // recovery says so
          if (const auto slot = generation_.find(record->previous)) replaced[slot->value] = true;
          return {};
        }));
    for (const Slot slot : suspects) {
      if (replaced[slot.value]) continue;
      return lost("rows.dat holds the point '" + std::string(generation_.id(slot)) + "' of operation " +
                  std::to_string(generation_.lsn(slot).value) + ", RocksDB does not");
    }
    return {};
  }

  Status look_at_row_behind(const Row& row, std::string_view id) {
    if (row.lsn > last_.value) {
      return lost("rows.dat holds operation " + std::to_string(row.lsn) + ", the log ends at " +
                  std::to_string(last_.value));
    }
    if ((row.flags & Row::kDead) == 0) return {};
    VS_ASSIGN_OR_RETURN(const auto current, store_.find_id(info_.number, id));
    return current == Lsn{row.lsn} ? lost_deletion(Lsn{row.lsn}) : Status{};
  }

  Status lost_deletion(Lsn lsn) {
    return lost("rows.dat says that operation " + std::to_string(lsn.value) +
                " was deleted or replaced, the log does not");
  }
  Status lost(const std::string& what) {
    found_loss_ = true;
    const std::string& directory = generation_.identity().directory;
    return {Code::kCorrupt, "collection '" + name_ + "': " + directory + "/" + what +
                                ": acknowledged data was lost, probably by damage to the RocksDB log or by an older " +
                                "copy of a file. Nothing was changed. Restore a backup; or delete " + directory +
                                ", and the next start goes on with what RocksDB has"};
  }

  const Store& store_;
  const std::string& name_;
  const CollectionInfo& info_;
  const Generation& generation_;
  Lsn last_;
  bool found_loss_ = false;
  std::vector<bool> current_;  // slots that are the current ones of their ids
};

Status check_nothing_lost(FileSystem& file_system, const Store& store, const std::string& database,
                          const std::string& name, const CollectionInfo& info) {
  const auto opened = Generation::open(file_system, generation_identity(database, info), info.config, info.slots,
                                       info.codes, Access::kReadOnly);
  if (!opened.ok()) return opened.status().code() == Code::kCorrupt ? Status{} : opened.status();
  Evidence evidence(store, name, info, **opened);
  const Status status = evidence.look();
  // What RocksDB cannot read of one collection concerns that one only: it is quarantined later, or answers with that.
  return status.code() == Code::kCorrupt && !evidence.found_loss() ? Status{} : status;
}

// A directory with collections, but without their RocksDB, must not be taken for a new one.
Status check_no_files_alone(FileSystem& file_system, const std::string& directory) {
  const auto names = file_system.list(directory + "/collections");
  if (!names.ok()) return names.status().code() == Code::kNotFound ? Status{} : names.status();
  if (names->empty()) return {};
  return {Code::kCorrupt, directory + "/collections holds data, but " + directory +
                              "/rocksdb, where the points are, holds no database. Nothing was changed. Put the folder "
                              "rocksdb back, or restore a backup"};
}

// Whether a point was ever written there.
bool holds_points(FileSystem& file_system, const std::string& collection) {
  const auto generations = file_system.list(collection);
  if (!generations.ok()) return false;
  for (const std::string& generation : *generations) {
    const auto rows = file_system.open(collection + "/" + generation + "/rows.dat", Access::kReadOnly);
    if (!rows.ok()) continue;
    const auto size = (*rows)->size();
    Row first{};
    if (!size.ok() || *size < MappedFile::kHeaderBytes + sizeof first) continue;
    const Status read = (*rows)->read(MappedFile::kHeaderBytes, std::as_writable_bytes(std::span(&first, 1)));
    if (read.ok() && first.lsn != 0) return true;
  }
  return false;
}

// Directories of collections that RocksDB does not know are removed by the start. Those are: of a DROP that came no further,
// whose number is below the next one; and of a CREATE that was not acknowledged, which has the next number and no points
// yet. Anything else is a collection whose CREATE was lost.
Status check_no_unknown_collections(FileSystem& file_system, const Store& store, const std::string& directory) {
  VS_ASSIGN_OR_RETURN(const auto text, store.get_meta("next_collection"));
  const uint64_t next = text ? std::strtoull(text->c_str(), nullptr, 10) : 1;
  const auto names = file_system.list(directory + "/collections");
  if (!names.ok()) return names.status().code() == Code::kNotFound ? Status{} : names.status();
  for (const std::string& name : *names) {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc() || end != name.data() + name.size() || number < next) continue;
    const std::string path = directory + "/collections/" + name;
    if (number == next && !holds_points(file_system, path)) continue;
    return {Code::kCorrupt, path + " holds a collection that RocksDB does not know: acknowledged data was lost, " +
                                "probably by damage to the RocksDB log. Nothing was changed. Restore a backup; or " +
                                "delete " + path + ", and the next start goes on without it"};
  }
  return {};
}

// A snapshot may have been copied here. Copying may have ended halfway, and of a missing log RocksDB would know nothing. Names
// and sizes say so, without reading it all.
Status check_copied_whole(FileSystem& file_system, const std::string& directory) {
  const auto manifest = read_manifest(file_system, directory);
  if (!manifest.ok()) return manifest.status().code() == Code::kNotFound ? Status{} : manifest.status();
  for (const Manifest::FileEntry& entry : manifest->files) {
    const std::string path = directory + "/" + entry.path;
    const std::string advice = ": the copy of the snapshot is not whole; copy it again, or use vsd --restore";
    const auto file = file_system.open(path, Access::kReadOnly);
    if (file.status().code() == Code::kNotFound) return {Code::kCorrupt, path + " is missing" + advice};
    VS_RETURN_IF_ERROR(file.status());
    VS_ASSIGN_OR_RETURN(const uint64_t size, (*file)->size());
    if (size == entry.bytes) continue;
    return {Code::kCorrupt,
            path + " has " + std::to_string(size) + " bytes, expected were " + std::to_string(entry.bytes) + advice};
  }
  return {};
}

// Until a restore is complete, all it made has this name.
Status check_no_restore(FileSystem& file_system, const std::string& directory) {
  const auto names = file_system.list(directory + "/" + kRestoringFolder);
  if (names.status().code() == Code::kNotFound) return {};
  VS_RETURN_IF_ERROR(names.status());
  return {Code::kCorrupt, "a restore into " + directory + " did not end: " + directory + "/" + kRestoringFolder +
                              " holds a part of the data. Run it again (vsd --restore SNAPSHOT --data-dir " +
                              directory + "), or delete " + directory + "/" + kRestoringFolder};
}

}  // namespace

Result<LastRun> last_run(const Store& store) {
  VS_ASSIGN_OR_RETURN(const auto open, store.get_meta("open"));
  return LastRun{.clean = !open, .relaxed = open && *open != durability_name(Durability::kAlways)};
}

Status preflight(FileSystem& file_system, rocksdb::Env* env, const std::string& directory) {
  VS_RETURN_IF_ERROR(check_no_restore(file_system, directory));
  VS_RETURN_IF_ERROR(check_copied_whole(file_system, directory));
  const std::string rocksdb = directory + "/rocksdb";
  VS_ASSIGN_OR_RETURN(const bool exists, Store::exists(rocksdb, env));
  if (!exists) return check_no_files_alone(file_system, directory);
  VS_ASSIGN_OR_RETURN(const auto store, Store::open(rocksdb, env, Access::kReadOnly));
  VS_ASSIGN_OR_RETURN(const auto version, store->get_meta("format_version"));
  if (version && *version != kFormatVersion) {
    return {Code::kCorrupt, directory + " has format version " + *version + ", this vsd reads version " +
                                std::string(kFormatVersion) + "; use the vsd that wrote it. Nothing was changed"};
  }
  // A CREATE is synced under any durability.
  VS_RETURN_IF_ERROR(check_no_unknown_collections(file_system, *store, directory));
  VS_ASSIGN_OR_RETURN(const LastRun last, last_run(*store));
  if (last.relaxed) return {};
  VS_RETURN_IF_ERROR(store->check_log(rocksdb, env));
  return store->for_each_collection([&](std::string_view key, std::string_view value) -> Status {
    const std::string name(key);
    const auto info = decode_info(name, value);
    if (!info.ok()) return {};  // is quarantined later
    return check_nothing_lost(file_system, *store, directory, name, *info);
  });
}

}  // namespace vs::storage
