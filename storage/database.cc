// The set of collections: made, dropped, found.
#include "storage/database.h"

#include <random>

#include "storage/database_impl.h"

namespace vs::storage {
namespace {

Uuid random_uuid() {
  std::random_device device;
  Uuid uuid;
  for (uint8_t& byte : uuid) byte = static_cast<uint8_t>(device());
  return uuid;
}

}  // namespace

StorageContext Database::Impl::context() {
  return {.file_system = file_system_,
          .store = *store_,
          .queue = *queue_,
          .directory = options_.directory,
          .free_space_reserve_bytes = options_.free_space_reserve_bytes,
          .threads = options_.threads,
          .trimmed_at_once = options_.trimmed_at_once};
}

Result<CollectionConfig> Database::Impl::create(std::string_view name, const CollectionConfig& config) {
  VS_ASSIGN_OR_RETURN(const CollectionConfig completed, complete_config(config));
  std::lock_guard<std::mutex> commit_lock(queue_->commit_mutex());
  if (closed_) return Status{Code::kShuttingDown, "vsd is shutting down"};
  if (const Status failure = queue_->failure(); !failure.ok()) return Status{Code::kIoError, failure.message()};
  {
    std::shared_lock<std::shared_mutex> lock(entries_mutex_);
    if (entries_.find(name) != entries_.end()) {
      return Status{Code::kExists,
                    "collection '" + std::string(name) + "' is there already; DROP it first, or choose another name"};
    }
    if (entries_.size() >= limits::kCollections) {
      return Status{Code::kLimit,
                    "there are " + std::to_string(limits::kCollections) + " collections, the most that one vsd holds"};
    }
  }
  VS_ASSIGN_OR_RETURN(const uint64_t free, file_system_.free_bytes(options_.directory));
  if (free < options_.free_space_reserve_bytes) {
    return Status{Code::kNoSpace, std::to_string(free >> 20) + " MiB are free on the disk, " +
                                      std::to_string(options_.free_space_reserve_bytes >> 20) +
                                      " are kept in reserve; make room"};
  }
  Entry entry;
  entry.info = {
      .number = CollectionNumber{next_number_}, .uuid = random_uuid(), .config = completed, .checkpoint_lsn = {}};
  VS_ASSIGN_OR_RETURN(auto generation,
                      Generation::create(file_system_, generation_identity(options_.directory, entry.info), completed));
  Store::Batch batch(*store_);
  batch.put_info(name, entry.info);
  batch.put_meta("next_collection", std::to_string(next_number_ + 1));
  VS_RETURN_IF_ERROR(queue_->write(batch, true));
  ++next_number_;
  entry.collection =
      std::make_shared<CollectionImpl>(std::string(name), entry.info, *store_, *queue_, std::move(generation));
  std::unique_lock<std::shared_mutex> lock(entries_mutex_);
  entries_.emplace(name, std::move(entry));
  return completed;
}

Status Database::Impl::drop(std::string_view name) {
  std::lock_guard<std::mutex> commit_lock(queue_->commit_mutex());
  std::unique_lock<std::shared_mutex> lock(entries_mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    return {Code::kNotFound, "no collection '" + std::string(name) + "'; LIST shows those that are there"};
  }
  const CollectionInfo info = found->second.info;
  Store::Batch batch(*store_);
  batch.delete_collection(name, info.number);
  VS_RETURN_IF_ERROR(queue_->write(batch, true, LogSpace::Use::kDrop));
  if (found->second.collection) found->second.collection->set_dropped();
  entries_.erase(found);
  // Mapped pages stay until the last reader lets go; a crash before this leaves an orphan that the next open removes.
  return file_system_.remove_all(collection_directory(options_.directory, info.number));
}

Result<CollectionConfig> Database::Impl::alter(std::string_view name, uint32_t ef_search) {
  VS_ASSIGN_OR_RETURN(const std::shared_ptr<CollectionImpl> collection, find_open(name));
  // Checkpoints and rebuilds write the description, too; they hold both mutexes for it.
  std::lock_guard<std::mutex> commit_lock(queue_->commit_mutex());
  if (closed_) return Status{Code::kShuttingDown, "vsd is shutting down"};
  if (const Status failure = queue_->failure(); !failure.ok()) return Status{Code::kIoError, failure.message()};
  if (collection->dropped()) return Status{Code::kNotFound, "collection '" + std::string(name) + "' was dropped"};
  std::lock_guard<std::mutex> lock(collection->info_mutex());
  CollectionInfo info = collection->info();
  info.config.ef_search = ef_search;
  VS_RETURN_IF_ERROR(complete_config(info.config).status());
  Store::Batch batch(*store_);
  batch.put_info(name, info);
  VS_RETURN_IF_ERROR(queue_->write(batch, true));
  collection->info() = info;
  collection->set_ef_search(ef_search);
  return collection->config();
}

std::vector<std::string> Database::Impl::names() const {
  std::shared_lock<std::shared_mutex> lock(entries_mutex_);
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

Result<std::shared_ptr<Collection>> Database::Impl::find(std::string_view name) const {
  VS_ASSIGN_OR_RETURN(std::shared_ptr<CollectionImpl> collection, find_open(name));
  return std::shared_ptr<Collection>(std::move(collection));
}

std::vector<std::shared_ptr<CollectionImpl>> Database::Impl::collections() const {
  std::shared_lock<std::shared_mutex> lock(entries_mutex_);
  std::vector<std::shared_ptr<CollectionImpl>> all;
  for (const auto& [name, entry] : entries_) {
    if (entry.collection) all.push_back(entry.collection);
  }
  return all;
}

// Errors: kNotFound; why it could not be opened.
Result<std::shared_ptr<CollectionImpl>> Database::Impl::find_open(std::string_view name) const {
  std::shared_lock<std::shared_mutex> lock(entries_mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    return Status{Code::kNotFound, "no collection '" + std::string(name) + "'; LIST shows those that are there"};
  }
  if (!found->second.collection) return found->second.why;
  return found->second.collection;
}

Result<RebuildReport> Database::Impl::rebuild(std::string_view name, const RebuildOptions& options,
                                              Progress& progress) {
  std::lock_guard<std::mutex> lock(structure_mutex_);
  VS_ASSIGN_OR_RETURN(const std::shared_ptr<CollectionImpl> collection, find_open(name));
  CollectionConfig config = collection->config();
  if (options.m && *options.m != config.m) config.ml = 0;
  config.m = options.m.value_or(config.m);
  config.ef_construction = options.ef_construction.value_or(config.ef_construction);
  config.ml = options.ml.value_or(config.ml);
  if (options.codes) config.codes = options.codes;
  VS_ASSIGN_OR_RETURN(config, complete_config(config));
  VS_ASSIGN_OR_RETURN(
      const RebuildReport report,
      rebuild_collection(context(), *collection, config, options_.rebuild_threads, checkpoint_mutex_, progress));
  VS_ASSIGN_OR_RETURN(const uint64_t free, file_system_.free_bytes(options_.directory));
  if (free < options_.free_space_reserve_bytes + store_->records_bytes()) {
    return Status{Code::kNoSpace, "the index was rebuilt, but RocksDB still holds deleted vectors: to rewrite its " +
                                      std::to_string(store_->records_bytes() >> 20) +
                                      " MiB without them, as much has to be free, and " +
                                      std::to_string(options_.free_space_reserve_bytes >> 20) + " MiB in reserve; " +
                                      std::to_string(free >> 20) + " MiB are; make room and COMPACT again"};
  }
  VS_RETURN_IF_ERROR(store_->compact_records(collection->number(), progress.cancelled));
  return report;
}

Result<CheckReport> Database::Impl::check(std::string_view name, const CheckOptions& options, Progress& progress) {
  std::lock_guard<std::mutex> lock(structure_mutex_);
  const auto found = find_open(name);
  if (!found.ok() && found.status().code() == Code::kNotFound) return found.status();
  if (!found.ok()) return CheckReport::impossible("open", found.status().message());
  auto report = check_collection(context(), **found, options, checkpoint_mutex_, progress);
  if (report.ok() || report.status().code() != Code::kCorrupt) return report;
  return CheckReport::impossible("rocksdb", report.status().message());
}

DatabaseStats Database::Impl::stats() const {
  return {.commits = queue_->commits(),
          .operations = queue_->operations(),
          .syncs = queue_->syncs(),
          .checkpoints = checkpoints_.load(std::memory_order_relaxed),
          .no_space = queue_->no_space(),
          .free_space_reserve_bytes = options_.free_space_reserve_bytes};
}

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;

Result<CollectionConfig> Database::create(std::string_view name, const CollectionConfig& config) {
  return impl_->create(name, config);
}
Status Database::drop(std::string_view name) { return impl_->drop(name); }
Result<CollectionConfig> Database::alter(std::string_view name, uint32_t ef_search) {
  return impl_->alter(name, ef_search);
}
std::vector<std::string> Database::names() const { return impl_->names(); }
Result<std::shared_ptr<Collection>> Database::find(std::string_view name) const { return impl_->find(name); }
Result<Lsn> Database::checkpoint() { return impl_->checkpoint(); }
DatabaseStats Database::stats() const { return impl_->stats(); }
Result<CheckReport> Database::check(std::string_view name, const CheckOptions& options, Progress& progress) {
  return impl_->check(name, options, progress);
}
Result<RebuildReport> Database::rebuild(std::string_view name, const RebuildOptions& options, Progress& progress) {
  return impl_->rebuild(name, options, progress);
}
void Database::on_compaction_due(std::function<void(const std::string&)> due) {
  impl_->on_compaction_due(std::move(due));
}
Result<Snapshot> Database::make_snapshot(const std::string& tag, Progress& progress) {
  return impl_->make_snapshot(tag, progress);
}
Result<std::vector<SnapshotEntry>> Database::snapshots() const { return impl_->snapshots(); }
Status Database::remove_snapshot(const std::string& tag) { return impl_->remove_snapshot(tag); }
Status Database::close() { return impl_->close(); }

}  // namespace vs::storage
