// The check of a data directory that no vsd has open. Everything is opened for reading only.
#include "storage/checker.h"
#include "storage/preflight.h"

namespace vs::storage {
namespace {

Result<CheckReport> check_one(FileSystem& file_system, const Store& store, const std::string& directory,
                              const LastRun& last, const CollectionInfo& info, const CheckOptions& options,
                              Progress& progress) {
  const auto opened = Generation::open(file_system, generation_identity(directory, info), info.config, info.slots,
                                       info.codes, Access::kReadOnly);
  if (!opened.ok()) {
    if (opened.status().code() != Code::kCorrupt) return opened.status();
    return CheckReport::impossible(
        "file", opened.status().message() + " (the next start rebuilds the collection from RocksDB)");
  }
  Generation& generation = **opened;
  generation.adopt_rows();
  VS_ASSIGN_OR_RETURN(const Lsn last_record, store.last_lsn(info.number));
  const Lsn end = std::max(info.checkpoint_lsn, last_record);
  Checker checker({.store = store,
                   .number = info.number,
                   .generation = generation,
                   .checkpoint = info.checkpoint_lsn,
                   .last = end,
                   .snapshot = store.snapshot(),
                   .ef_search = info.config.ef_search,
                   .settled = last.clean});
  VS_RETURN_IF_ERROR(checker.look(options, progress));
  CheckReport report;
  report.problems = checker.findings().texts;
  report.problems_found = report.problems_left = checker.findings().count;
  report.slots = generation.graph().slot_count();
  report.points = generation.graph().live_count();
  report.operations_to_replay = end.value - info.checkpoint_lsn.value;
  report.recall = checker.recall();
  return report;
}

}  // namespace

Status check_directory(const std::string& directory, const CheckOptions& options, Progress& progress,
                       const std::function<void(const std::string& name, const CheckReport&)>& visit) {
  FileSystem& file_system = posix_file_system();
  VS_ASSIGN_OR_RETURN(const bool exists, Store::exists(directory + "/rocksdb", nullptr));
  if (!exists) {
    VS_RETURN_IF_ERROR(preflight(file_system, nullptr, directory));  // lost, if there are files of collections
    return {Code::kNotFound, directory + " is no data directory of vsd: it holds no database in rocksdb/"};
  }
  // A copy need not have a lock.
  const auto lock = file_system.lock(directory + "/LOCK", Access::kReadOnly);
  if (!lock.ok() && lock.status().code() != Code::kNotFound) return lock.status();
  VS_RETURN_IF_ERROR(preflight(file_system, nullptr, directory));
  VS_ASSIGN_OR_RETURN(const auto store, Store::open(directory + "/rocksdb", nullptr, Access::kReadOnly));
  VS_ASSIGN_OR_RETURN(const LastRun last, last_run(*store));
  return store->for_each_collection([&](std::string_view key, std::string_view value) -> Status {
    const std::string name(key);
    const auto info = decode_info(name, value);
    if (!info.ok()) {
      visit(name, CheckReport::impossible("open", info.status().message()));
      return {};
    }
    const auto report = check_one(file_system, *store, directory, last, *info, options, progress);
    // A damaged file of RocksDB may hold nothing of the other collections.
    if (!report.ok() && report.status().code() != Code::kCorrupt) return report.status();
    visit(name, report.ok() ? *report : CheckReport::impossible("rocksdb", report.status().message()));
    return {};
  });
}

}  // namespace vs::storage
