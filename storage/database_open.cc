// Opening a data directory: lock, preflight, RocksDB, recovery of every collection.
#include <spdlog/spdlog.h>

#include <filesystem>
#include <set>

#include "storage/database_impl.h"

namespace vs::storage {
namespace {

std::string parent_directory(const std::string& path) {
  const size_t end = path.find_last_not_of('/');
  const size_t slash = path.rfind('/', end);
  if (end == std::string::npos || slash == 0) return "/";
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

// A snapshot is kept as it is: a vsd that uses it would change it.
Status refuse_snapshot(FileSystem& file_system, const std::string& directory) {
  std::error_code error;
  const auto path = std::filesystem::absolute(directory, error).lexically_normal();
  const auto folder = (path.has_filename() ? path : path.parent_path()).parent_path();
  if (error || folder.filename() != kSnapshotsFolder) return {};
  const auto found = file_system.open(directory + "/" + Manifest::kFileName, Access::kReadOnly);
  if (!found.ok()) return {};
  return {Code::kBadArgument, directory + " is a snapshot, which a vsd that uses it would change; start vsd with " +
                                  "--restore " + directory + " and a data directory of its own, or on a copy"};
}

// A start needs some room: for RocksDB's manifest and log, and for the operations that it replays.
Status no_space_at_start(const Status& why) {
  return {Code::kNoSpace,
          "the disk is too full to start, nothing is lost: make room and start again (" + why.message() + ")"};
}

}  // namespace

Status Database::Impl::open_store() {
  VS_RETURN_IF_ERROR(refuse_snapshot(file_system_, options_.directory));
  VS_RETURN_IF_ERROR(file_system_.create_directories(options_.directory));
  VS_ASSIGN_OR_RETURN(lock_, file_system_.lock(options_.directory + "/LOCK", Access::kReadWrite));
  VS_RETURN_IF_ERROR(preflight(file_system_, options_.store_env, options_.directory));
  // From here on a copy of a snapshot is what its manifest says no longer.
  VS_RETURN_IF_ERROR(file_system_.remove_all(options_.directory + "/" + Manifest::kFileName));
  VS_RETURN_IF_ERROR(file_system_.create_directories(options_.directory + "/collections"));
  VS_RETURN_IF_ERROR(file_system_.create_directories(options_.directory + "/rocksdb"));
  // RocksDB syncs what is in its directory, but not that directory's own name.
  VS_RETURN_IF_ERROR(file_system_.sync_directory(options_.directory));
  VS_RETURN_IF_ERROR(file_system_.sync_directory(parent_directory(options_.directory)));
  VS_ASSIGN_OR_RETURN(const uint64_t disk_bytes, file_system_.total_bytes(options_.directory));
  options_.free_space_reserve_bytes = free_space_reserve(options_, disk_bytes);
  VS_ASSIGN_OR_RETURN(store_,
                      Store::open(options_.directory + "/rocksdb", options_.store_env, Access::kReadWrite, disk_bytes));
  return {};
}

Status Database::Impl::open() {
  VS_RETURN_IF_ERROR(open_store());
  VS_ASSIGN_OR_RETURN(const LastRun last, last_run(*store_));
  VS_ASSIGN_OR_RETURN(const auto number, store_->get_meta("next_collection"));
  if (number) next_number_ = static_cast<uint32_t>(std::strtoul(number->c_str(), nullptr, 10));

  queue_ = std::make_unique<CommitQueue>(*store_, file_system_, options_, options_.threads);
  VS_RETURN_IF_ERROR(open_collections(last));
  VS_RETURN_IF_ERROR(remove_orphans());
  VS_RETURN_IF_ERROR(remove_unfinished_snapshots(file_system_, options_.directory));
  Store::Batch batch(*store_);
  batch.put_meta("format_version", kFormatVersion);
  batch.put_meta("open", durability_name(options_.durability));
  {
    std::lock_guard<std::mutex> commit_lock(queue_->commit_mutex());
    VS_RETURN_IF_ERROR(queue_->write(batch, true));
  }
  VS_RETURN_IF_ERROR(store_->start_compactions());
  maintenance_ = std::thread([this] { maintain(); });
  if (options_.durability == Durability::kInterval) syncer_ = std::thread([this] { sync_what_was_written(); });
  encoder_ = std::thread([this] { encode_what_is_due(); });
  vacuumer_ = std::make_unique<Vacuumer>([this] { return collections(); });
  opened_ = true;
  return {};
}

Status Database::Impl::open_collections(const LastRun& last) {
  RecoveryContext context{{this->context()}, last.clean, last.relaxed};
  context.free_space_reserve_bytes = 0;  // what was acknowledged has to come back: that is what the reserve is for
  return store_->for_each_collection([&](std::string_view key, std::string_view value) -> Status {
    const std::string name(key);
    Entry entry;
    auto info = decode_info(name, value);
    if (info.ok()) {
      entry.info = *info;
      auto recovered = recover_collection(context, name, *info);
      if (recovered.ok()) {
        entry.collection = *std::move(recovered);
        // A rebuild gave it another generation.
        entry.info = entry.collection->info();
      } else {
        // Not a matter of this collection: with more room the next start has all of it.
        if (recovered.status().code() == Code::kNoSpace) return recovered.status();
        entry.why = recovered.status();
      }
    } else {
      entry.why = info.status();
    }
    if (!entry.why.ok()) {
      // The others serve; this one answers with the reason.
      spdlog::error("cannot open collection={}: {}", name, entry.why.to_string());
      entry.why = {Code::kCorrupt, entry.why.message()};
    }
    entries_.emplace(name, std::move(entry));
    return {};
  });
}

// Directories of dropped collections and of generations that were replaced or never finished. Those of broken
// collections stay.
Status Database::Impl::remove_orphans() {
  const std::string root = options_.directory + "/collections";
  std::set<std::string> keep;
  for (const auto& [name, entry] : entries_) {
    if (static_cast<uint32_t>(entry.info.number) == 0) return {};  // its number cannot be read: touch nothing
    keep.insert(collection_directory(options_.directory, entry.info.number));
  }
  VS_ASSIGN_OR_RETURN(const auto numbers, file_system_.list(root));
  for (const std::string& number : numbers) {
    if (!keep.contains(root + "/" + number)) VS_RETURN_IF_ERROR(file_system_.remove_all(root + "/" + number));
  }
  for (const auto& [name, entry] : entries_) {
    if (!entry.collection) continue;
    const std::string directory = collection_directory(options_.directory, entry.info.number);
    VS_ASSIGN_OR_RETURN(const auto generations, file_system_.list(directory));
    for (const std::string& generation : generations) {
      if (generation == std::to_string(entry.info.generation)) continue;
      VS_RETURN_IF_ERROR(file_system_.remove_all(directory + "/" + generation));
    }
  }
  return {};
}

Result<std::unique_ptr<Database>> Database::open(const DatabaseOptions& options) {
  auto impl = std::make_unique<Impl>(options);
  if (const Status status = impl->open(); !status.ok()) {
    return status.code() == Code::kNoSpace ? no_space_at_start(status) : status;
  }
  return std::unique_ptr<Database>(new Database(std::move(impl)));
}

}  // namespace vs::storage
