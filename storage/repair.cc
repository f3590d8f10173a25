// Checks an open collection, and repairs it from RocksDB.
//
// Repairs run while no operation is under way: writes wait, searches go on. They see links change one word at a time, as
// always; a vector that is written again they may see half old, half new, for a moment, which is no worse than what was
// there. What cannot be mended in place (a file's header, rows, missing slots) is built anew from the log as another
// generation (rebuild.cc), while writes go on.
#include <spdlog/spdlog.h>

#include <chrono>
#include <thread>

#include "index/audit.h"
#include "storage/checker.h"
#include "storage/commit_queue.h"
#include "storage/replay.h"

namespace vs::storage {
namespace {

class Repair {
 public:
  Repair(const StorageContext& context, CollectionImpl& collection, const CheckOptions& options, Progress& progress)
      : context_(context), collection_(collection), options_(options), progress_(progress) {}

  Result<CheckReport> run(std::mutex& checkpoint_mutex) {
    CheckReport report;
    VS_RETURN_IF_ERROR(pass(checkpoint_mutex, options_.repair, report));
    if (options_.repair && report.problems_found > 0) {
      if (report.rebuilt) {
        VS_RETURN_IF_ERROR(rebuild_collection(context_, collection_, collection_.config(), context_.threads,
                                              checkpoint_mutex, progress_)
                               .status());
      }
      // What remains is found by looking at everything again.
      CheckReport again;
      VS_RETURN_IF_ERROR(pass(checkpoint_mutex, false, again));
      report.problems = std::move(again.problems);
      report.problems_left = again.problems_left;
      report.recall = again.recall;
      spdlog::info("repaired collection={} mended={} rebuilt={} problems_left={}", collection_.name(), report.repaired,
                   report.rebuilt, report.problems_left);
    }
    report.slots = collection_.generation()->graph().slot_count();
    report.points = collection_.generation()->graph().live_count();
    return report;
  }

 private:
  Status dropped() const { return {Code::kNotFound, "collection '" + collection_.name() + "' was dropped meanwhile"}; }

  Checker::Target target(const Generation& generation) const {
    // A checkpoint trims the log under this mutex: so the snapshot has all that lies behind `checkpoint`.
    std::lock_guard<std::mutex> lock(collection_.info_mutex());
    return {.store = context_.store,
            .number = collection_.number(),
            .generation = generation,
            .checkpoint = collection_.info().checkpoint_lsn,
            .last = collection_.last_lsn(),
            .snapshot = context_.store.snapshot(),
            .ef_search = collection_.ef_search()};
  }

  // REQUIRES: the commit mutex is held. Waits until what was committed is applied.
  void quiesce() const {
    while (collection_.window().mark().lsn < collection_.last_lsn()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  // Looks at everything beside writes, then at what is suspect while they wait; and mends it then, if `repair`.
  Status pass(std::mutex& checkpoint_mutex, bool repair, CheckReport& report) {
    const std::shared_ptr<Generation> generation = collection_.generation();
    Checker suspected(target(*generation));
    VS_RETURN_IF_ERROR(suspected.look(options_, progress_));
    report.recall = suspected.recall();
    if (!suspected.findings().empty()) {
      // In the order of a checkpoint.
      std::lock_guard<std::mutex> checkpoint_lock(checkpoint_mutex);
      std::lock_guard<std::mutex> commit_lock(context_.queue.commit_mutex());
      if (collection_.dropped()) return dropped();
      VS_RETURN_IF_ERROR(confirm(suspected.findings(), *generation, repair, report));
    }
    return collection_.dropped() ? dropped() : Status{};
  }

  Status confirm(const Findings& suspects, Generation& generation, bool repair, CheckReport& report) {
    quiesce();
    const std::unique_lock<std::mutex> vacuum_lock = generation.vacuum().hold();
    // Between two audits an insertion or a vacuum may leave a node without a way to it; that is no damage, and mended as
    // always.
    if (!suspects.reach.empty() && (collection_.audit_due() || generation.vacuum().sweeping())) {
      if (relink_unreachable(generation.graph()) != 0) generation.vacuum().note_changed();
      collection_.set_audited(collection_.last_lsn());
    }
    Checker confirmed(target(generation));
    VS_RETURN_IF_ERROR(confirmed.confirm(suspects, options_, progress_));
    const Findings& findings = confirmed.findings();
    report.problems = findings.texts;
    report.problems_found = report.problems_left = findings.count;
    if (confirmed.recall()) report.recall = confirmed.recall();
    if (!repair || findings.empty()) return {};

    for (const Problem& problem : findings.texts) {
      spdlog::warn("repairing collection={} kind={} detail='{}'", collection_.name(), problem.kind, problem.detail);
    }
    return mend(findings, generation, report);
  }

  Status mend(const Findings& findings, Generation& generation, CheckReport& report) {
    if (findings.rebuild) {
      report.rebuilt = true;  // by run(), while writes go on
      report.repaired = findings.count;
    } else {
      report.repaired +=
          findings.liveness.size() + findings.vectors.size() + findings.codes.size() + findings.links.size();
      for (const Slot slot : findings.liveness) VS_RETURN_IF_ERROR(mend_liveness(generation, slot));
      for (const Slot slot : findings.vectors) VS_RETURN_IF_ERROR(mend_vector(generation, slot));
      for (const Slot slot : findings.codes) generation.graph().codes().rewrite(slot);
      if (!findings.links.empty()) {
        for (const Slot slot : scrub_links(generation.graph()).damaged) generation.graph().insert(slot);
      }
      // A node's links were chosen by the vector that was wrong.
      for (const Slot slot : findings.vectors) generation.graph().insert(slot);
      report.repaired += relink_unreachable(generation.graph());
      if (Status synced = generation.sync(); !synced.ok()) {
        context_.queue.fail(synced);
        return synced;
      }
    }
    if (findings.stale.empty()) return {};
    Store::Batch batch(context_.store);
    for (const Lsn lsn : findings.stale) batch.delete_record(collection_.number(), lsn);
    report.repaired += findings.stale.size();
    return context_.queue.write(batch, true);
  }

  Status mend_liveness(Generation& generation, Slot slot) {
    VS_ASSIGN_OR_RETURN(const auto current, context_.store.find_id(collection_.number(), generation.id(slot)));
    if (current != generation.lsn(slot)) {
      generation.set_flag(slot, Row::kDead);
      generation.graph().retract(slot);
      return {};
    }
    generation.clear_flag(slot, Row::kDead | Row::kUnlinked);
    generation.graph().insert(slot);
    generation.graph().publish(slot);
    return {};
  }

  Status mend_vector(Generation& generation, Slot slot) {
    VS_ASSIGN_OR_RETURN(const std::string value, context_.store.get_record(collection_.number(), generation.lsn(slot)));
    VS_ASSIGN_OR_RETURN(const Record record, decode_record(value, collection_.dim()));
    std::vector<float> vector = decode_vector(record.vector);
    if (collection_.metric() == Metric::kCosine) normalize(vector);
    generation.rewrite_vector(slot, vector);
    return {};
  }

  const StorageContext& context_;
  CollectionImpl& collection_;
  const CheckOptions options_;
  Progress& progress_;
};

}  // namespace

Result<CheckReport> check_collection(const StorageContext& context, CollectionImpl& collection,
                                     const CheckOptions& options, std::mutex& checkpoint_mutex, Progress& progress) {
  return Repair(context, collection, options, progress).run(checkpoint_mutex);
}

}  // namespace vs::storage
