#include "storage/commit_queue.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "storage/thread_role.h"

namespace vs::storage {
namespace {

// A group ends at about this much, so that one sync never waits for an endless batch.
constexpr size_t kGroupBytesMax = 16u << 20;
// Of one operation in a replay, besides applying it: reading its record and writing its row and vector.
constexpr auto kReadCost = std::chrono::microseconds(10);
// Deletions may go on in the last half of the reserve: they are what makes room.
constexpr uint64_t kDeleteReserveShare = 2;

std::string_view bytes_of(const std::vector<float>& vector) {
  return {reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)};
}

}  // namespace

// Answers one request when the last of its operations is applied.
struct CommitQueue::Completion {
  std::atomic<size_t> pending{0};
  std::function<void(const Status&)> finish;
};

struct CommitQueue::Operation {
  std::shared_ptr<CollectionImpl> collection;
  Lsn lsn;
  Record::Kind kind = Record::Kind::kUpsert;
  std::string id;
  std::vector<float> vector;  // as mapped: of unit length for cosine; empty for a delete
  Lsn previous;
  CollectionImpl::Targets targets{};
  std::optional<Slot> slot{};       // in the serving generation
  std::optional<Slot> next_slot{};  // in the next one
  std::shared_ptr<Completion> completion;
};

struct CommitQueue::Group {
  explicit Group(Store& store) : batch(store) {}
  struct PerCollection {
    uint32_t slots = 0;
    uint64_t id_bytes = 0;
    Lsn last;
    std::unordered_map<std::string, Lsn> changed;  // ids whose LSN this group changes; 0: deleted
  };
  Store::Batch batch;
  std::map<const CollectionImpl*, PerCollection> collections;
  std::vector<Operation> operations;
  std::vector<std::shared_ptr<Completion>> completions;
  // Answers of requests that change nothing ("it exists", "it is missing"). They may rest on an operation of this group,
  // so they wait until that is durable; told the error if it is not.
  std::vector<std::function<void(const Status&)>> answers;
  uint64_t free_bytes = 0;
  uint64_t next_flush_bytes = 0;
  bool refused = false;  // an operation, for want of space
};

struct CommitQueue::Applier {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Operation> queue;
  bool stopping = false;
  std::thread thread;
};

CommitQueue::CommitQueue(Store& store, FileSystem& file_system, const DatabaseOptions& options, unsigned apply_threads)
    : store_(store), file_system_(file_system), options_(options) {
  for (unsigned i = 0; i < apply_threads; ++i) {
    appliers_.push_back(std::make_unique<Applier>());
    Applier& applier = *appliers_.back();
    applier.thread = std::thread([this, &applier] {
      take_role("vsd-link", ThreadRole::kLinks);
      apply_loop(applier);
    });
  }
  commit_thread_ = std::thread([this] {
    take_role("vsd-commit", ThreadRole::kServes);
    commit_loop();
  });
}

CommitQueue::~CommitQueue() { stop(); }

void CommitQueue::submit(Mutation mutation) {
  {
    std::lock_guard<std::mutex> lock(queue_mutex_);
    if (!stopping_) {
      queue_.push_back(std::move(mutation));
      queue_changed_.notify_one();
      return;
    }
  }
  std::visit(
      [](auto& m) {
        m.done(Status{Code::kShuttingDown, "vsd is shutting down; send it again to the next one"});
      },
      mutation);
}

void CommitQueue::stop() {
  {
    std::lock_guard<std::mutex> lock(queue_mutex_);
    stopping_ = true;
    queue_changed_.notify_one();
  }
  if (commit_thread_.joinable()) commit_thread_.join();
  for (const auto& applier : appliers_) {
    {
      std::lock_guard<std::mutex> lock(applier->mutex);
      applier->stopping = true;
      applier->changed.notify_one();
    }
    if (applier->thread.joinable()) applier->thread.join();
  }
}

void CommitQueue::fail(const Status& status) {
  {
    std::lock_guard<std::mutex> lock(failure_mutex_);
    if (!failure_.ok()) return;
    failure_ = status;
  }
  if (options_.on_fatal) options_.on_fatal(status);
}

Status CommitQueue::failure() const {
  std::lock_guard<std::mutex> lock(failure_mutex_);
  return failure_;
}

Status CommitQueue::write(Store::Batch& batch, bool sync, LogSpace::Use use) {
  VS_RETURN_IF_ERROR(failure());
  if (const Status room = store_.make_room(batch, use); !room.ok()) {
    return {Code::kNoSpace, "the disk is full, nothing was changed: " + room.message() + "; make room"};
  }
  Status status = out_of_space_ ? Status{} : store_.write(batch, sync);
  out_of_space_ = out_of_space_ || status.code() == Code::kNoSpace;
  // A flush failed. The next write tries whether it succeeds now, and a drop, which makes room, at once.
  if (out_of_space_ && (status.ok() || use == LogSpace::Use::kDrop)) {
    if (status = store_.resume(use); !status.ok()) {
      return {Code::kNoSpace, "the disk was full, and writing cannot go on yet: " + status.message() + "; make room"};
    }
    status = store_.write(batch, sync);
    out_of_space_ = status.code() == Code::kNoSpace;
  }
  switch (status.code()) {
    case Code::kOk:
      break;
    case Code::kNoSpace:
      status = {Code::kNoSpace, "the disk is full, the write was refused: " + status.message() + "; make room"};
      break;
    case Code::kCorrupt:
      return {Code::kReadOnly, "RocksDB found damage and takes no writes, searches go on: " + status.message() +
                                   "; stop vsd and restore a backup"};
    default:
      fail(status);
  }
  return status;
}

void CommitQueue::commit_loop() {
  for (;;) {
    std::deque<Mutation> mutations;
    {
      std::unique_lock<std::mutex> lock(queue_mutex_);
      queue_changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      mutations.swap(queue_);
    }
    while (!mutations.empty()) commit_group(mutations);
  }
}

void CommitQueue::commit_group(std::deque<Mutation>& mutations) {
  std::lock_guard<std::mutex> lock(commit_mutex_);
  Group group(store_);
  const auto free = file_system_.free_bytes(options_.directory);
  group.free_bytes = free.ok() ? *free : 0;
  group.next_flush_bytes = store_.next_flush_bytes();
  while (!mutations.empty() && group.batch.bytes() < kGroupBytesMax) {
    std::visit([&](auto& mutation) { prepare(group, mutation); }, mutations.front());
    mutations.pop_front();
  }
  const bool sync = options_.durability == Durability::kAlways;
  const Status status = group.operations.empty() ? failure() : write(group.batch, sync, LogSpace::Use::kOrdinary);
  if (status.code() == Code::kNoSpace) note_refusal(group, status);
  if (status.ok() && !group.refused && !group.operations.empty()) note_room(group);
  if (!status.ok()) {
    const Status told =
        failure().ok() ? status : Status{Code::kIoError, "the write may be lost, vsd stops: " + status.message()};
    for (const auto& completion : group.completions) completion->finish(told);
    for (const auto& answer : group.answers) answer(told);
    return;
  }
  if (!group.operations.empty()) {
    ++commits_;
    if (sync) ++syncs_;
    operations_ += group.operations.size();
    stage(group);
  }
  for (const auto& answer : group.answers) answer({});
}

// What the id's LSN will be when the operations before this one are done; 0 if there is no such point.
Result<Lsn> CommitQueue::current_lsn(Group& group, const CollectionImpl& collection, const std::string& id) {
  const auto& changed = group.collections[&collection].changed;
  if (const auto found = changed.find(id); found != changed.end()) return found->second;
  VS_ASSIGN_OR_RETURN(const auto lsn, store_.find_id(collection.number(), id));
  return lsn.value_or(Lsn{});
}

// One line when refusing begins and one when it ends, not one for each request: a client may go on for hours. Before the
// client is answered, who may ask at once.
void CommitQueue::note_refusal(Group& group, const Status& why) {
  group.refused = true;
  if (!no_space_.exchange(true)) spdlog::warn("no_space begins message='{}'", why.message());
}

// At the border large operations fail and small ones do not; it ends a quarter of the reserve above.
void CommitQueue::note_room(const Group& group) {
  const uint64_t reserve = options_.free_space_reserve_bytes;
  if (!no_space()) return;
  if (group.free_bytes < reserve + reserve / 4 + group.next_flush_bytes) return;
  no_space_ = false;
  spdlog::info("no_space ends free_mb={}", group.free_bytes >> 20);
}

Status CommitQueue::check_space(Group& group, const CollectionImpl& collection, uint64_t id_bytes,
                                uint64_t record_bytes) {
  // Once in the log of RocksDB, once in a file of values, where what lies in memory still has to go, too.
  const uint64_t needed = 2 * (group.batch.bytes() + record_bytes) + group.next_flush_bytes;
  const uint64_t kept = options_.free_space_reserve_bytes + needed;
  if (group.free_bytes < kept) {
    return {Code::kNoSpace, std::to_string(group.free_bytes >> 20) + " MiB are free on the disk, of them " +
                                std::to_string(options_.free_space_reserve_bytes >> 20) + " are kept in reserve and " +
                                std::to_string(needed >> 20) +
                                " are for what is being written; make room, nothing was changed"};
  }
  Group::PerCollection& mine = group.collections[&collection];
  const CollectionImpl::Targets targets = collection.targets();
  for (Generation* const generation : {targets.serving.get(), targets.next.get()}) {
    if (generation == nullptr) continue;
    VS_RETURN_IF_ERROR(generation->reserve(mine.slots + 1, mine.id_bytes + id_bytes, {options_.directory, kept}));
  }
  return {};
}

void CommitQueue::prepare(Group& group, Add& add) {
  CollectionImpl& collection = *add.collection;
  AddRequest& request = add.request;
  const auto refuse = [&](Code code, const std::string& message) { add.done(Status{code, message}); };
  if (collection.dropped()) {
    return refuse(Code::kNotFound, "collection '" + collection.name() + "' was dropped");
  }
  const auto current = current_lsn(group, collection, request.id);
  if (!current.ok()) return add.done(current.status());
  const bool exists = current->value != 0;
  if (request.condition == (exists ? AddRequest::If::kAbsent : AddRequest::If::kPresent)) {
    Status refused =
        exists ? Status{Code::kExists, "point '" + request.id + "' is there already, and if=absent was asked"}
               : Status{Code::kNotFound, "no point '" + request.id + "' to replace, and if=present was asked"};
    group.answers.emplace_back([done = std::move(add.done), refused = std::move(refused)](const Status& status) {
      done(status.ok() ? refused : status);
    });
    return;
  }
  const std::string value = encode_record({.kind = Record::Kind::kUpsert,
                                           .previous = *current,
                                           .id = request.id,
                                           .vector = bytes_of(request.vector),
                                           .attributes = request.attributes});
  if (const Status space = check_space(group, collection, request.id.size(), value.size()); !space.ok()) {
    if (space.code() == Code::kNoSpace) note_refusal(group, space);
    return add.done(space);
  }

  Group::PerCollection& mine = group.collections[&collection];
  if (mine.last.value == 0) mine.last = collection.last_lsn();
  const Lsn lsn{++mine.last.value};
  ++mine.slots;
  mine.id_bytes += request.id.size();
  mine.changed[request.id] = lsn;
  group.batch.put_record(collection.number(), lsn, value);
  group.batch.put_id(collection.number(), request.id, lsn);

  auto completion = std::make_shared<Completion>();
  completion->pending = 1;
  completion->finish = [done = std::move(add.done), lsn, exists](const Status& status) {
    if (!status.ok()) return done(status);
    done(AddReply{.lsn = lsn, .created = !exists});
  };
  group.completions.push_back(completion);
  if (collection.metric() == Metric::kCosine) normalize(request.vector);
  group.operations.push_back({.collection = add.collection,
                              .lsn = lsn,
                              .kind = Record::Kind::kUpsert,
                              .id = std::move(request.id),
                              .vector = std::move(request.vector),
                              .previous = *current,
                              .completion = std::move(completion)});
}

void CommitQueue::prepare(Group& group, Delete& remove) {
  CollectionImpl& collection = *remove.collection;
  if (collection.dropped()) {
    return remove.done(Status{Code::kNotFound, "collection '" + collection.name() + "' was dropped"});
  }
  if (group.free_bytes < options_.free_space_reserve_bytes / kDeleteReserveShare) {
    return remove.done(Status{Code::kNoSpace, "less than half of the reserve is free on the disk; make room"});
  }
  // Everything is looked up before anything is changed: the request succeeds or fails as one.
  DeleteReply reply;
  std::vector<std::pair<std::string, Lsn>> found;
  std::unordered_map<std::string_view, bool> seen;
  for (const std::string& id : remove.ids) {
    if (!seen.emplace(id, true).second) continue;
    const auto current = current_lsn(group, collection, id);
    if (!current.ok()) return remove.done(current.status());
    if (current->value == 0) {
      reply.missing.push_back(id);
    } else {
      found.emplace_back(id, *current);
    }
  }
  reply.deleted = found.size();
  if (found.empty()) {
    group.answers.emplace_back([done = std::move(remove.done), reply = std::move(reply)](const Status& status) {
      if (!status.ok()) return done(status);
      done(reply);
    });
    return;
  }

  Group::PerCollection& mine = group.collections[&collection];
  if (mine.last.value == 0) mine.last = collection.last_lsn();
  auto completion = std::make_shared<Completion>();
  completion->pending = found.size();
  completion->finish = [done = std::move(remove.done), reply = std::move(reply)](const Status& status) {
    if (!status.ok()) return done(status);
    done(reply);
  };
  group.completions.push_back(completion);
  for (auto& [id, current] : found) {
    const Lsn lsn{++mine.last.value};
    mine.changed[id] = Lsn{};
    group.batch.put_record(
        collection.number(), lsn,
        encode_record({.kind = Record::Kind::kDelete, .previous = current, .id = id, .vector = {}, .attributes = {}}));
    group.batch.delete_id(collection.number(), id);
    group.operations.push_back({.collection = remove.collection,
                                .lsn = lsn,
                                .kind = Record::Kind::kDelete,
                                .id = std::move(id),
                                .vector = {},
                                .previous = current,
                                .completion = completion});
  }
}

// The group is durable: rows and vectors go into the mapped files, in the order of the LSNs, and the rest to the
// appliers.
void CommitQueue::stage(Group& group) {
  for (Operation& operation : group.operations) {
    CollectionImpl& collection = *operation.collection;
    operation.targets = collection.targets();
    const auto& [serving, next] = operation.targets;
    if (operation.kind == Record::Kind::kUpsert) {
      operation.slot = serving->append(operation.lsn, operation.id, operation.vector);
      if (next) operation.next_slot = next->append(operation.lsn, operation.id, operation.vector);
    }
    collection.set_last_lsn(operation.lsn);
    AppliedWindow& window = collection.window();
    window.stage(operation.lsn, serving->graph().slot_count());
    if (operation.previous.value != 0) window.supersede(operation.lsn, operation.previous);
    if (operation.kind == Record::Kind::kDelete) window.supersede(operation.lsn, operation.lsn);

    Applier& applier = *appliers_[std::hash<std::string>()(operation.id) % appliers_.size()];
    std::lock_guard<std::mutex> lock(applier.mutex);
    applier.queue.push_back(std::move(operation));
    applier.changed.notify_one();
  }
}

void CommitQueue::apply_loop(Applier& applier) {
  for (;;) {
    Operation operation;
    {
      std::unique_lock<std::mutex> lock(applier.mutex);
      applier.changed.wait(lock, [&] { return applier.stopping || !applier.queue.empty(); });
      if (applier.queue.empty()) return;
      operation = std::move(applier.queue.front());
      applier.queue.pop_front();
    }
    const auto begin = std::chrono::steady_clock::now();
    const auto& [serving, next] = operation.targets;
    serving->apply(operation.slot, operation.previous);
    if (next) next->apply(operation.next_slot, operation.previous);
    operation.collection->add_replay_cost(std::chrono::steady_clock::now() - begin + kReadCost);
    operation.collection->window().applied(operation.lsn);
    if (operation.completion->pending.fetch_sub(1) == 1) operation.completion->finish(Status{});
    // A thread that serves waits for one insertion then, not until the kernel ends this one's turn after milliseconds.
    std::this_thread::yield();
  }
}

}  // namespace vs::storage
