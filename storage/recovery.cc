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

#include <chrono>

#include "index/audit.h"
#include "storage/replay.h"

namespace vs::storage {
namespace {

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
    Replay replay(context_, name_, info_, *collection_->generation(),
                  rebuilt_ ? Replay::Slots::kCurrent : Replay::Slots::kAll);
    VS_RETURN_IF_ERROR(replay.read(rebuilt_ ? Lsn{} : info_.checkpoint_lsn, [&](Lsn lsn, const Record& record) {
      AppliedWindow& window = collection_->window();
      if (record.previous.value != 0) window.supersede(lsn, record.previous);
      if (record.kind == Record::Kind::kDelete) window.supersede(lsn, lsn);
      return Status{};
    }));
    collection_->set_last_lsn(last_lsn_);
    collection_->window().reset({last_lsn_, graph().slot_count()});
    if (replay.has_new_slots() || !context_.clean) {
      spdlog::info("recovering collection={} operations={} damaged_lists={}", name_, replay.operations(),
                   scrub.damaged.size());
      VS_ASSIGN_OR_RETURN(const size_t linked, replay.link(scrub.damaged));
      const uint64_t relinked = relink_unreachable(graph());
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
      spdlog::info("recovered collection={} operations={} linked={} scrubbed_words={} relinked={} seconds={:.2f}",
                   name_, replay.operations(), linked, scrub.zeroed_words, relinked, took.count());
    }
    collection_->set_audited(last_lsn_);
    VS_RETURN_IF_ERROR(finish(replay.operations()));
    return collection_;
  }

 private:
  Generation& generation() { return collection_ ? *collection_->generation() : *generation_; }
  Graph& graph() { return generation().graph(); }

  Status open_or_rebuild() {
    auto opened = Generation::open(context_.file_system, generation_identity(context_.directory, info_), info_.config,
                                   info_.slots, info_.codes, Access::kReadWrite);
    if (opened.ok()) {
      generation_ = *std::move(opened);
      return {};
    }
    if (opened.status().code() != Code::kCorrupt) return opened.status();
    spdlog::warn("rebuilding collection={} from its records, since the mapped files cannot be used: {}", name_,
                 opened.status().message());
    rebuilt_ = true;
    ++info_.generation;
    info_.slots = 0;
    info_.codes.reset();
    VS_ASSIGN_OR_RETURN(generation_, Generation::create(context_.file_system,
                                                        generation_identity(context_.directory, info_), info_.config));
    return {};
  }

  // Which slots of the checkpoint are live: what the rows say; or, when they may hold deletions that the log lost, what
  // the ids say.
  Status restore_liveness() {
    generation().adopt_rows();
    if (context_.clean || !context_.relaxed) return {};
    for (Slot slot{0}; slot.value < graph().slot_count(); ++slot.value) {
      generation().set_flag(slot, Row::kDead);
      graph().retract(slot);
    }
    return context_.store.for_each_id(info_.number, [&](std::string_view, Lsn lsn) {
      // An id that was replaced behind the checkpoint is published by the replay.
      if (const auto slot = generation().find(lsn)) {
        generation().clear_flag(*slot, Row::kDead);
        graph().publish(*slot);
      }
      return Status{};
    });
  }

  // What was replayed need not be replayed again. A rebuilt generation becomes the collection's by this write; the
  // directory of the old one is then named by nobody, and database.cc removes it.
  Status finish(uint64_t replayed) {
    // What was mended without a replay (links, and what rows said of deletions that the log lost) must be on the disk, too,
    // before anybody calls the files clean.
    if (replayed == 0 && !rebuilt_) return context_.clean ? Status{} : generation().sync();
    if (rebuilt_) collection_->info().checkpoint_lsn = {};
    if (last_lsn_.value != 0) return checkpoint_collection(context_, *collection_);
    Store::Batch batch(context_.store);
    batch.put_info(name_, collection_->info());
    return context_.store.write(batch, true);
  }

  const RecoveryContext& context_;
  const std::string name_;
  CollectionInfo info_;
  Lsn last_lsn_;
  bool rebuilt_ = false;
  std::unique_ptr<Generation> generation_;  // until the collection has it
  std::shared_ptr<CollectionImpl> collection_;
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
