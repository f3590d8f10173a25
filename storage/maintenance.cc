// What is done in the background: checkpoints, codes, compactions; the last checkpoint; snapshots.
#include <spdlog/spdlog.h>

#include "storage/database_impl.h"

namespace vs::storage {
namespace {

constexpr auto kEncodeInterval = std::chrono::milliseconds(500);
// A few deleted points in a small collection are no reason to write it anew.
constexpr uint64_t kCompactSlotsMin = 1000;
// If a compaction did not come to its end, for want of space for instance.
constexpr auto kAskAgain = std::chrono::minutes(10);
constexpr auto kLockAgain = std::chrono::seconds(10);

}  // namespace

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

// Where new vectors left the range of the codes, or a crash left codes that nobody vouches for.
void Database::Impl::encode_again_if_due(CollectionImpl& collection) {
  if (!collection.generation()->graph().codes().due()) return;
  // A checkpoint must not call codes good that are about to change.
  std::lock_guard<std::mutex> checkpoint_lock(checkpoint_mutex_);
  const auto begin = Clock::now();
  if (const Status status = encode_again(context(), collection); !status.ok()) {
    spdlog::error("encoding_failed collection={} code={} message='{}'", collection.name(), code_name(status.code()),
                  status.message());
    return;
  }
  spdlog::info("encoded_again collection={} seconds={:.2f}", collection.name(),
               std::chrono::duration<double>(Clock::now() - begin).count());
}

void Database::Impl::learn_pca_if_due(CollectionImpl& collection) {
  const std::shared_ptr<Generation> generation = collection.generation();
  Graph& graph = generation->graph();
  if (!graph.codes().pca_due()) return;
  const auto begin = Clock::now();
  graph.learn_pca();
  const std::optional<PcaState> state = graph.codes().pca_state();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  if (state) {
    spdlog::info("pca_learned collection={} components={} share={:.3f} seconds={:.2f}", collection.name(),
                 state->components, state->share, seconds);
  } else {
    spdlog::info("pca_does_not_pay collection={} seconds={:.2f} searches_read=codes.dat", collection.name(), seconds);
  }
}

// What grew since the last time, too. Where the limit was reached it is tried again later, since there is room when the files that
// a rebuild replaced, or other collections, are gone.
void Database::Impl::lock_hot_files(const CollectionImpl& collection) {
  const auto now = Clock::now();
  const auto failed = not_locked_since_.find(collection.number());
  if (failed != not_locked_since_.end() && now - failed->second < kLockAgain) return;
  const std::shared_ptr<Generation> generation = collection.generation();
  const Status locked = generation->lock_hot_files();
  if (locked.ok()) {
    if (failed != not_locked_since_.end()) not_locked_since_.erase(failed);
    return;
  }
  const bool first = failed == not_locked_since_.end();
  not_locked_since_[collection.number()] = now;
  if (first) {
    spdlog::warn("not_locked collection={} locked_bytes={} message='{}'", collection.name(), generation->locked_bytes(),
                 locked.message());
  }
}

// A thread of its own: nothing that has to be done every second waits for a decomposition.
void Database::Impl::encode_what_is_due() {
  std::unique_lock<std::mutex> lock(maintenance_mutex_);
  while (!maintenance_changed_.wait_for(lock, kEncodeInterval, [this] { return closing_; })) {
    lock.unlock();
    for (const auto& collection : collections()) {
      if (!queue_->failure().ok() || collection->dropped()) continue;
      encode_again_if_due(*collection);
      learn_pca_if_due(*collection);
      if (options_.lock_hot_files) lock_hot_files(*collection);
    }
    lock.lock();
  }
}

void Database::Impl::on_compaction_due(std::function<void(const std::string&)> due) {
  std::lock_guard<std::mutex> lock(maintenance_mutex_);
  compaction_due_ = std::move(due);
}

void Database::Impl::ask_for_compactions() {
  std::function<void(const std::string&)> due;
  {
    std::lock_guard<std::mutex> lock(maintenance_mutex_);
    due = compaction_due_;
  }
  if (!due || options_.compact_at_percent == 0) return;
  for (const auto& collection : collections()) {
    const std::shared_ptr<Generation> generation = collection->generation();
    const uint64_t slots = generation->graph().slot_count();
    const uint64_t deleted = generation->graph().dead_count();
    if (slots < kCompactSlotsMin || deleted * 100 < slots * options_.compact_at_percent) continue;
    const auto now = Clock::now();
    const auto [asked, first] = asked_.try_emplace(collection->number(), Asked{generation->identity().number, now});
    if (!first && asked->second.generation == generation->identity().number && now - asked->second.when < kAskAgain) {
      continue;
    }
    asked->second = {generation->identity().number, now};
    due(collection->name());
  }
}

void Database::Impl::every_second(const std::function<void()>& work) {
  std::unique_lock<std::mutex> lock(maintenance_mutex_);
  while (!maintenance_changed_.wait_for(lock, std::chrono::seconds(1), [this] { return closing_; })) {
    lock.unlock();
    work();
    lock.lock();
  }
}

void Database::Impl::maintain() {
  every_second([this] {
    checkpoint_what_is_due();
    ask_for_compactions();
  });
}

// For durability=interval. A thread of its own: what a power failure may take is not to grow while a checkpoint or an encoding
// takes its time.
void Database::Impl::sync_what_was_written() {
  uint64_t synced_commits = 0;
  every_second([this, &synced_commits] {
    const uint64_t commits = queue_->commits();
    if (commits == synced_commits || !queue_->failure().ok()) return;
    synced_commits = commits;
    queue_->count_sync();
    if (const Status status = store_->sync(); !status.ok()) queue_->fail(status);
  });
}

Result<Snapshot> Database::Impl::make_snapshot(const std::string& tag, Progress& progress) {
  const std::lock_guard<std::mutex> lock(snapshot_mutex_);
  VS_RETURN_IF_ERROR(queue_->failure());
  return storage::make_snapshot({.file_system = file_system_,
                                 .store_env = options_.store_env,
                                 .store = *store_,
                                 .commit_mutex = queue_->commit_mutex(),
                                 .directory = options_.directory,
                                 .free_space_reserve_bytes = options_.free_space_reserve_bytes},
                                tag, progress);
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
  if (syncer_.joinable()) syncer_.join();
  if (encoder_.joinable()) encoder_.join();
  vacuumer_.reset();
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

}  // namespace vs::storage
