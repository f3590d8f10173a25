// Recovery: from a checkpoint and the log behind it to a graph that serves.
//
// The mapped files hold everything up to the checkpoint, and unknown parts of what came later. Opening cuts off all
// slots behind the checkpoint's, so what remains of later operations is only link words in the older slots' lists, to
// slots that are gone. Then:
//
//   –  the scrub zeroes links that cannot be: out of range, to itself, to a node that is not on that layer
//   A  the log behind the checkpoint is read once: every upsert gets its slot again (the same one, since slots follow
//      LSNs), every record that supersedes another kills that one's slot
//   B  the new slots that are still alive are linked by the ordinary insertion, on all cores, and before them, anew, the
//      old ones that lost most of their links to the scrub
//
// The scrub comes before A makes the slots exist again. Old links to them would be right in the end, but until B has
// linked such a slot it is a dead end: an insertion that descends into it finds nothing but it, and the two become an
// island that searches get caught in. The price is that a node whose list had turned over since the checkpoint has
// nearly none left. In a collection that doubled since then those are most of the old ones, and without B searches
// would miss every other of them; in one that grew by a tenth they are few.
//
// Linking in one phase with reading (naive replay) let insertions walk through nodes whose lists were half of another
// time, and left nodes that nothing led to. What B leaves unreachable all the same is relinked, and a checkpoint ends it.
//
// A generation whose files are missing, too short or another's is rebuilt: the same code, from an empty generation and
// the whole log, which holds every live point.
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "index/audit.h"
#include "storage/collection_impl.h"

namespace vs::storage {
namespace {

// Read-ahead of phase A: space for so many slots is backed at once.
constexpr uint32_t kReserveSlots = 1024;

class Recovery {
 public:
  Recovery(const RecoveryContext& context, std::string name, const CollectionInfo& info)
      : context_(context), name_(std::move(name)), info_(info) {}

  Result<std::shared_ptr<CollectionImpl>> run() {
    const auto started = std::chrono::steady_clock::now();
    VS_ASSIGN_OR_RETURN(const Lsn last_record, context_.store.last_lsn(info_.number));
    last_lsn_ = std::max(info_.checkpoint_lsn, last_record);
    VS_RETURN_IF_ERROR(open_or_rebuild());
    if (!rebuilt_) VS_RETURN_IF_ERROR(restore_liveness());
    collection_ =
        std::make_shared<CollectionImpl>(name_, info_, context_.store, context_.queue, std::move(generation_));
    const Scrub scrub = context_.clean ? Scrub{} : scrub_links(graph());
    VS_RETURN_IF_ERROR(replay());
    collection_->set_last_lsn(last_lsn_);
    collection_->window().reset({last_lsn_, graph().slot_count()});
    if (!new_slots_.empty() || !context_.clean) {
      const std::vector<Slot> slots = slots_to_link(scrub.damaged);
      spdlog::info("recovering collection={} operations={} to_link={}", name_, replayed_, slots.size());
      link(slots);
      const uint64_t relinked = relink_unreachable(graph());
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
      spdlog::info("recovered collection={} operations={} linked={} scrubbed_words={} relinked={} seconds={:.2f}",
                   name_, replayed_, slots.size(), scrub.zeroed_words, relinked, took.count());
    }
    VS_RETURN_IF_ERROR(finish());
    return collection_;
  }

 private:
  Generation& generation() { return collection_ ? *collection_->generation() : *generation_; }
  Graph& graph() { return generation().graph(); }

  Status open_or_rebuild() {
    const Generation::Identity identity = generation_identity(context_.directory, info_);
    Lsn beyond;
    auto opened = Generation::open(context_.file_system, identity, info_.config, info_.slots, &beyond);
    Status status = opened.status();
    if (opened.ok() && beyond > last_lsn_) {
      status = {Code::kCorrupt, "rows.dat holds operation " + std::to_string(beyond.value) + ", the log ends at " +
                                    std::to_string(last_lsn_.value)};
      // With `interval` or `none` a power failure may take the end of the log; that was the bargain. With `always` it
      // means that RocksDB lost what was acknowledged.
      if (!context_.relaxed) {
        return {Code::kCorrupt, "collection '" + name_ + "': " + status.message() +
                                    ": acknowledged data was lost. Restore a backup, or delete " + identity.directory +
                                    " to go on with what the log has"};
      }
    }
    if (status.ok()) {
      generation_ = *std::move(opened);
      return {};
    }
    if (status.code() != Code::kCorrupt) return status;
    spdlog::warn("rebuilding collection={} from its records, since the mapped files cannot be used: {}", name_,
                 status.message());
    rebuilt_ = true;
    ++info_.generation;
    info_.slots = 0;
    VS_ASSIGN_OR_RETURN(generation_, Generation::create(context_.file_system,
                                                        generation_identity(context_.directory, info_), info_.config));
    return {};
  }

  // Which slots of the checkpoint are live: what the rows say; or, when they may hold deletions that the log lost, what
  // the ids say.
  Status restore_liveness() {
    for (Slot slot{0}; slot.value < graph().slot_count(); ++slot.value) {
      if (!generation().has_flag(slot, Row::kUnlinked)) graph().adopt(slot);
    }
    if (context_.clean || !context_.relaxed) {
      for (Slot slot{0}; slot.value < graph().slot_count(); ++slot.value) {
        if (!generation().has_flag(slot, Row::kDead)) graph().publish(slot);
      }
      return {};
    }
    for (Slot slot{0}; slot.value < graph().slot_count(); ++slot.value) generation().set_flag(slot, Row::kDead);
    return context_.store.for_each_id(info_.number, [&](std::string_view, Lsn lsn) {
      // An id that was replaced behind the checkpoint is published by the replay.
      if (const auto slot = generation().find(lsn)) {
        generation().clear_flag(*slot, Row::kDead);
        graph().publish(*slot);
      }
      return Status{};
    });
  }

  // Phase A.
  Status replay() {
    const Lsn after = rebuilt_ ? Lsn{} : info_.checkpoint_lsn;
    return context_.store.for_each_record(info_.number, after, [&](Lsn lsn, std::string_view value) -> Status {
      auto record = decode_record(value, info_.config.dim);
      if (!record.ok()) {
        return {Code::kCorrupt, "collection '" + name_ + "', operation " + std::to_string(lsn.value) + ": " +
                                    record.status().message() + "; restore a backup"};
      }
      ++replayed_;
      if (record->kind == Record::Kind::kUpsert) VS_RETURN_IF_ERROR(append(lsn, *record));
      if (const auto old = generation().find(record->previous)) {
        generation().set_flag(*old, Row::kDead);
        graph().retract(*old);
      }
      AppliedWindow& window = collection_->window();
      if (record->previous.value != 0) window.supersede(lsn, record->previous);
      if (record->kind == Record::Kind::kDelete) window.supersede(lsn, lsn);
      return {};
    });
  }

  Status append(Lsn lsn, const Record& record) {
    const MappedFile::Space space{context_.directory, context_.free_space_reserve_bytes};
    if (reserved_slots_ == 0 || reserved_id_bytes_ < record.id.size()) {
      VS_RETURN_IF_ERROR(generation().reserve(kReserveSlots, kReserveSlots * limits::kIdBytes, space));
      reserved_slots_ = kReserveSlots;
      reserved_id_bytes_ = kReserveSlots * limits::kIdBytes;
    }
    std::vector<float> vector = decode_vector(record.vector);
    if (const Status valid = validate_vector(info_.config.metric, vector); !valid.ok()) {
      return {Code::kCorrupt, "collection '" + name_ + "', operation " + std::to_string(lsn.value) + ": " +
                                  valid.message() + "; restore a backup"};
    }
    if (info_.config.metric == Metric::kCosine) normalize(vector);
    new_slots_.push_back(generation().append(lsn, record.id, vector));
    --reserved_slots_;
    reserved_id_bytes_ -= record.id.size();
    return {};
  }

  // What was replayed need not be replayed again. A rebuilt generation becomes the collection's by this write; the
  // directory of the old one is then named by nobody, and database.cc removes it.
  Status finish() {
    if (replayed_ == 0 && !rebuilt_) return {};
    if (rebuilt_) collection_->info().checkpoint_lsn = {};
    if (last_lsn_.value != 0) {
      std::mutex nobody_commits_yet;
      return checkpoint_collection(context_.store, *collection_, nobody_commits_yet);
    }
    Store::Batch batch(context_.store);
    batch.put_info(name_, collection_->info());
    return context_.store.write(batch, true);
  }

  // What is alive of the damaged slots and of the new ones; new ones that are not are marked.
  std::vector<Slot> slots_to_link(const std::vector<Slot>& damaged) {
    std::vector<Slot> slots;
    slots.reserve(damaged.size() + new_slots_.size());
    for (const Slot slot : damaged) {
      if (graph().live(slot)) slots.push_back(slot);
    }
    for (const Slot slot : new_slots_) {
      if (generation().has_flag(slot, Row::kDead)) {
        generation().set_flag(slot, Row::kUnlinked);
      } else {
        slots.push_back(slot);
      }
    }
    return slots;
  }

  // Phase B.
  void link(const std::vector<Slot>& slots) {
    std::atomic<size_t> next{0};
    const auto work = [&] {
      for (size_t i = next++; i < slots.size(); i = next++) {
        graph().insert(slots[i]);
        graph().publish(slots[i]);
      }
    };
    std::vector<std::thread> threads;
    for (unsigned i = 1; i < context_.threads; ++i) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
  }

  const RecoveryContext& context_;
  const std::string name_;
  CollectionInfo info_;
  Lsn last_lsn_;
  bool rebuilt_ = false;
  std::unique_ptr<Generation> generation_;  // until the collection has it
  std::shared_ptr<CollectionImpl> collection_;
  std::vector<Slot> new_slots_;
  uint64_t replayed_ = 0;
  uint32_t reserved_slots_ = 0;
  uint64_t reserved_id_bytes_ = 0;
};

}  // namespace

std::string collection_directory(const std::string& database, CollectionNumber number) {
  return database + "/collections/" + std::to_string(static_cast<uint32_t>(number));
}

Generation::Identity generation_identity(const std::string& database, const CollectionInfo& info) {
  return {collection_directory(database, info.number) + "/" + std::to_string(info.generation), info.uuid,
          info.generation};
}

Result<std::shared_ptr<CollectionImpl>> recover_collection(const RecoveryContext& context, const std::string& name,
                                                           const CollectionInfo& info) {
  return Recovery(context, name, info).run();
}

}  // namespace vs::storage
