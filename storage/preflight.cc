#include "storage/preflight.h"

#include "storage/collection_impl.h"

namespace vs::storage {
namespace {

Status lost(const std::string& name, const std::string& directory, const std::string& what) {
  return {Code::kCorrupt, "collection '" + name + "': " + what +
                              ": acknowledged data was lost, probably by damage to " +
                              "the RocksDB log. Nothing was changed. Restore a backup; or delete " + directory +
                              ", and the next start goes on with what the log has"};
}

// The mapped files are touched only when an operation is durable. So after a process that synced every operation, none of
// them may know more than the log does: neither of a point with a later LSN, nor of a deletion that the ids do not have.
// What cannot be read here is for recovery to rebuild.
Status check_nothing_lost(FileSystem& file_system, const Store& store, const std::string& database,
                          const std::string& name, const CollectionInfo& info) {
  const Generation::Identity identity = generation_identity(database, info);
  const auto opened = Generation::open(file_system, identity, info.config, info.slots, Access::kReadOnly);
  if (!opened.ok()) return opened.status().code() == Code::kCorrupt ? Status{} : opened.status();
  const Generation& generation = **opened;
  VS_ASSIGN_OR_RETURN(const Lsn last_record, store.last_lsn(info.number));
  const Lsn last = std::max(info.checkpoint_lsn, last_record);

  Status status;
  const auto check_dead = [&](std::string_view id, Lsn lsn) {
    const auto current = store.find_id(info.number, id);
    if (!current.ok()) {
      status = current.status();
    } else if (*current == lsn) {
      status = lost(
          name, identity.directory,
          "rows.dat says that operation " + std::to_string(lsn.value) + " was deleted or replaced, the log does not");
    }
  };
  for (Slot slot{0}; slot.value < info.slots && status.ok(); ++slot.value) {
    if (generation.has_flag(slot, Row::kDead)) check_dead(generation.id(slot), generation.lsn(slot));
  }
  // Behind the checkpoint ids.dat may be torn, so the id is the record's.
  generation.for_each_row_behind([&](const Row& row) {
    if (!status.ok() || row.lsn == 0) return;
    if (row.lsn > last.value) {
      status = lost(
          name, identity.directory,
          "rows.dat holds operation " + std::to_string(row.lsn) + ", the log ends at " + std::to_string(last.value));
    } else if ((row.flags & Row::kDead) != 0) {
      const auto value = store.get_record(info.number, Lsn{row.lsn});
      if (!value.ok()) return;
      if (const auto record = decode_record(*value, info.config.dim); record.ok()) check_dead(record->id, Lsn{row.lsn});
    }
  });
  return status;
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

}  // namespace

Result<LastRun> last_run(const Store& store) {
  VS_ASSIGN_OR_RETURN(const auto open, store.get_meta("open"));
  return LastRun{.clean = !open, .relaxed = open && *open != durability_name(Durability::kAlways)};
}

Status preflight(FileSystem& file_system, rocksdb::Env* env, const std::string& directory) {
  VS_ASSIGN_OR_RETURN(const bool exists, Store::exists(directory + "/rocksdb", env));
  if (!exists) return check_no_files_alone(file_system, directory);
  VS_ASSIGN_OR_RETURN(const auto store, Store::open(directory + "/rocksdb", env, Access::kReadOnly));
  VS_ASSIGN_OR_RETURN(const auto version, store->get_meta("format_version"));
  if (version && *version != kFormatVersion) {
    return {Code::kCorrupt, directory + " has format version " + *version + ", this vsd reads version " +
                                std::string(kFormatVersion) + "; use the vsd that wrote it. Nothing was changed"};
  }
  VS_ASSIGN_OR_RETURN(const LastRun last, last_run(*store));
  if (last.clean || last.relaxed) return {};
  return store->for_each_collection([&](std::string_view key, std::string_view value) -> Status {
    const std::string name(key);
    const auto info = decode_info(name, value);
    if (!info.ok()) return {};  // is quarantined later
    return check_nothing_lost(file_system, *store, directory, name, *info);
  });
}

}  // namespace vs::storage
