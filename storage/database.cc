#include "storage/database.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <map>
#include <random>
#include <set>
#include <shared_mutex>
#include <thread>

#include "storage/commit_queue.h"
#include "storage/preflight.h"

namespace vs::storage {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kSyncInterval = std::chrono::seconds(1);

std::string parent_directory(const std::string& path) {
  const size_t end = path.find_last_not_of('/');
  const size_t slash = path.rfind('/', end);
  if (end == std::string::npos || slash == 0) return "/";
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

Uuid random_uuid() {
  std::random_device device;
  Uuid uuid;
  for (uint8_t& byte : uuid) byte = static_cast<uint8_t>(device());
  return uuid;
}

// A start needs some room: for RocksDB's manifest and log, and for the operations that it replays.
Status no_space_at_start(const Status& why) {
  return {Code::kNoSpace,
          "the disk is too full to start, nothing is lost: make room and start again (" + why.message() + ")"};
}

}  // namespace

class Database::Impl {
 public:
  explicit Impl(const DatabaseOptions& options)
      : options_(options), file_system_(options.file_system != nullptr ? *options.file_system : posix_file_system()) {
    if (options_.threads == 0) options_.threads = std::max(1u, std::thread::hardware_concurrency());
  }
  ~Impl() { static_cast<void>(close()); }

  Status open();
  Result<CollectionConfig> create(std::string_view name, const CollectionConfig& config);
  Status drop(std::string_view name);
  std::vector<std::string> names() const;
  Result<std::shared_ptr<Collection>> find(std::string_view name) const;
  Result<Lsn> checkpoint();
  Result<CheckReport> check(std::string_view name, const CheckOptions& options, Progress& progress);
  DatabaseStats stats() const;
  Status close();

 private:
  struct Entry {
    CollectionInfo info;                         // number and generation, to drop it even when it is broken
    std::shared_ptr<CollectionImpl> collection;  // null when it could not be opened
    Status why;
  };

  Status open_store();
  Status open_collections(const LastRun& last);
  Status remove_orphans();
  StorageContext context();
  void maintain();
  void checkpoint_what_is_due();
  bool checkpoint_due(CollectionImpl& collection, Clock::time_point now);
  std::vector<std::shared_ptr<CollectionImpl>> collections() const;
  Status checkpoint_all();

  DatabaseOptions options_;
  FileSystem& file_system_;
  std::unique_ptr<DirectoryLock> lock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<CommitQueue> queue_;
  mutable std::shared_mutex entries_mutex_;
  std::map<std::string, Entry, std::less<>> entries_;
  uint32_t next_number_ = 1;

  std::mutex checkpoint_mutex_;  // one checkpoint at a time
  std::atomic<uint64_t> checkpoints_{0};
  std::mutex maintenance_mutex_;
  std::condition_variable maintenance_changed_;
  bool closing_ = false;
  std::thread maintenance_;
  std::map<CollectionNumber, Clock::time_point> waiting_since_;  // of maintain(): first operation after a checkpoint
  std::mutex close_mutex_;
  bool opened_ = false;  // else there is nothing to close: the last run's end stays as unclean as it was
  bool closed_ = false;
};

Status Database::Impl::open_store() {
  VS_RETURN_IF_ERROR(file_system_.create_directories(options_.directory));
  VS_ASSIGN_OR_RETURN(lock_, file_system_.lock(options_.directory + "/LOCK", Access::kReadWrite));
  VS_RETURN_IF_ERROR(preflight(file_system_, options_.store_env, options_.directory));
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
  Store::Batch batch(*store_);
  batch.put_meta("format_version", kFormatVersion);
  batch.put_meta("open", durability_name(options_.durability));
  {
    std::lock_guard<std::mutex> commit_lock(queue_->commit_mutex());
    VS_RETURN_IF_ERROR(queue_->write(batch, true));
  }
  VS_RETURN_IF_ERROR(store_->start_compactions());
  maintenance_ = std::thread([this] { maintain(); });
  opened_ = true;
  return {};
}

StorageContext Database::Impl::context() {
  return {.file_system = file_system_,
          .store = *store_,
          .queue = *queue_,
          .directory = options_.directory,
          .free_space_reserve_bytes = options_.free_space_reserve_bytes,
          .threads = options_.threads};
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

std::vector<std::string> Database::Impl::names() const {
  std::shared_lock<std::shared_mutex> lock(entries_mutex_);
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

Result<std::shared_ptr<Collection>> Database::Impl::find(std::string_view name) const {
  std::shared_lock<std::shared_mutex> lock(entries_mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    return Status{Code::kNotFound, "no collection '" + std::string(name) + "'; LIST shows those that are there"};
  }
  if (!found->second.collection) return found->second.why;
  return std::shared_ptr<Collection>(found->second.collection);
}

std::vector<std::shared_ptr<CollectionImpl>> Database::Impl::collections() const {
  std::shared_lock<std::shared_mutex> lock(entries_mutex_);
  std::vector<std::shared_ptr<CollectionImpl>> all;
  for (const auto& [name, entry] : entries_) {
    if (entry.collection) all.push_back(entry.collection);
  }
  return all;
}

Status Database::Impl::checkpoint_all() {
  std::lock_guard<std::mutex> lock(checkpoint_mutex_);
  for (const auto& collection : collections()) {
    VS_RETURN_IF_ERROR(queue_->failure());
    VS_RETURN_IF_ERROR(checkpoint_collection(context(), *collection));
  }
  ++checkpoints_;
  return {};
}

Result<Lsn> Database::Impl::checkpoint() {
  VS_RETURN_IF_ERROR(checkpoint_all());
  Lsn sum;
  for (const auto& collection : collections()) sum.value += collection->stats().checkpoint_lsn.value;
  return sum;
}

Result<CheckReport> Database::Impl::check(std::string_view name, const CheckOptions& options, Progress& progress) {
  std::shared_ptr<CollectionImpl> collection;
  {
    std::shared_lock<std::shared_mutex> lock(entries_mutex_);
    const auto found = entries_.find(name);
    if (found == entries_.end()) {
      return Status{Code::kNotFound, "no collection '" + std::string(name) + "'; LIST shows those that are there"};
    }
    collection = found->second.collection;
    if (!collection) {
      CheckReport report;
      report.problems.push_back({"open", found->second.why.message()});
      report.problems_found = report.problems_left = 1;
      return report;
    }
  }
  return check_collection(context(), *collection, options, checkpoint_mutex_, progress);
}

DatabaseStats Database::Impl::stats() const {
  return {.commits = queue_->commits(),
          .operations = queue_->operations(),
          .syncs = queue_->syncs(),
          .checkpoints = checkpoints_.load(std::memory_order_relaxed),
          .no_space = queue_->no_space(),
          .free_space_reserve_bytes = options_.free_space_reserve_bytes};
}

bool Database::Impl::checkpoint_due(CollectionImpl& collection, Clock::time_point now) {
  uint64_t behind = 0;
  {
    std::lock_guard<std::mutex> lock(collection.info_mutex());
    behind = collection.last_lsn().value - collection.info().checkpoint_lsn.value;
  }
  if (behind == 0) {
    waiting_since_.erase(collection.number());
    return false;
  }
  const auto since = waiting_since_.emplace(collection.number(), now).first->second;
  const bool due =
      behind >= options_.checkpoint_operations || now - since >= std::chrono::seconds(options_.checkpoint_interval_s);
  if (due) waiting_since_.erase(collection.number());
  return due;
}

void Database::Impl::checkpoint_what_is_due() {
  const auto all = collections();
  std::chrono::nanoseconds replay{0};
  for (const auto& collection : all) replay += collection->replay_cost();
  // At half of the budget: a checkpoint takes time as well, and operations go on meanwhile.
  const bool over_budget = replay / options_.threads >= std::chrono::seconds(options_.replay_budget_s) / 2;
  for (const auto& collection : all) {
    if (!queue_->failure().ok()) return;
    if (!checkpoint_due(*collection, Clock::now()) && !over_budget) continue;
    std::lock_guard<std::mutex> checkpoint_lock(checkpoint_mutex_);
    if (const Status status = checkpoint_collection(context(), *collection); status.ok()) {
      ++checkpoints_;
    } else {
      spdlog::error("checkpoint_failed collection={} code={} message='{}'", collection->name(),
                    code_name(status.code()), status.message());
    }
  }
}

// Once a second: syncs the log (durability=interval) and checkpoints what is due.
void Database::Impl::maintain() {
  std::unique_lock<std::mutex> lock(maintenance_mutex_);
  uint64_t synced_commits = 0;
  while (!maintenance_changed_.wait_for(lock, kSyncInterval, [this] { return closing_; })) {
    lock.unlock();
    if (const uint64_t commits = queue_->commits();
        options_.durability == Durability::kInterval && commits != synced_commits && queue_->failure().ok()) {
      synced_commits = commits;
      queue_->count_sync();
      if (const Status status = store_->sync(); !status.ok()) queue_->fail(status);
    }
    checkpoint_what_is_due();
    lock.lock();
  }
}

Status Database::Impl::close() {
  std::lock_guard<std::mutex> close_lock(close_mutex_);
  if (closed_ || !opened_) return {};
  {
    std::lock_guard<std::mutex> lock(maintenance_mutex_);
    closing_ = true;
    maintenance_changed_.notify_all();
  }
  if (maintenance_.joinable()) maintenance_.join();
  queue_->stop();
  {
    std::lock_guard<std::mutex> commit_lock(queue_->commit_mutex());
    closed_ = true;
  }
  VS_RETURN_IF_ERROR(checkpoint_all());
  VS_RETURN_IF_ERROR(store_->flush());
  Store::Batch batch(*store_);
  batch.delete_meta("open");
  std::lock_guard<std::mutex> commit_lock(queue_->commit_mutex());
  return queue_->write(batch, true);
}

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;

Result<std::unique_ptr<Database>> Database::open(const DatabaseOptions& options) {
  auto impl = std::make_unique<Impl>(options);
  if (const Status status = impl->open(); !status.ok()) {
    return status.code() == Code::kNoSpace ? no_space_at_start(status) : status;
  }
  return std::unique_ptr<Database>(new Database(std::move(impl)));
}

Result<CollectionConfig> Database::create(std::string_view name, const CollectionConfig& config) {
  return impl_->create(name, config);
}
Status Database::drop(std::string_view name) { return impl_->drop(name); }
std::vector<std::string> Database::names() const { return impl_->names(); }
Result<std::shared_ptr<Collection>> Database::find(std::string_view name) const { return impl_->find(name); }
Result<Lsn> Database::checkpoint() { return impl_->checkpoint(); }
DatabaseStats Database::stats() const { return impl_->stats(); }
Result<CheckReport> Database::check(std::string_view name, const CheckOptions& options, Progress& progress) {
  return impl_->check(name, options, progress);
}
Status Database::close() { return impl_->close(); }

}  // namespace vs::storage
