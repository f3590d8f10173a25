// A checkpoint: the mapped files on disk hold everything up to an LSN, and RocksDB says which.
//
// The order is the argument. (1) The mark is taken: all operations up to it are in the files' memory. (2) The files are
// synced: those operations are on disk now, with parts of later ones, which a replay overwrites. (3) RocksDB is told,
// synchronously. A crash before (3) leaves the older checkpoint, from which the log is still whole, since trimming
// happens in the same atomic write as (3).
//
// Where many records are to be trimmed, (3) is done in steps, each a checkpoint of its own at a later LSN: what the files
// hold up to the mark they hold up to any LSN before it. Writes wait for one step, and go on in between; 37,000 records in
// one write were 0.2 s.
//
// A switch to another generation is the first step of a checkpoint of that one: (3) names it. A crash before leaves the
// old generation, whose files are still there; after it, only the new one is known.
#include <chrono>
#include <thread>

#include "index/audit.h"
#include "storage/collection_impl.h"
#include "storage/commit_queue.h"

namespace vs::storage {
namespace {

using Clock = std::chrono::steady_clock;

// What (1) and (2) came to.
struct OnDisk {
  AppliedWindow::Mark mark;
  std::optional<CodeState> codes;
  std::chrono::nanoseconds replay_cost{0};  // of the operations up to the mark
};

Result<OnDisk> bring_to_disk(const StorageContext& context, CollectionImpl& collection, Generation& generation) {
  // Insertion in parallel and pruning may leave a node that no list leads to.
  relink_unreachable(generation.graph());
  OnDisk done;
  done.replay_cost = collection.replay_cost();
  done.mark = collection.window().mark();
  done.codes = generation.graph().codes().state();  // after the mark: it is true of all slots up to there
  if (Status synced = generation.sync(); !synced.ok()) {
    // What the kernel has of these pages is unknown from now on, and a second sync might well succeed without them.
    context.queue.fail(synced);
    return synced;
  }
  return done;
}

// (3). REQUIRES: the commit mutex and info_mutex() are held.
Status write_down(const StorageContext& context, CollectionImpl& collection, const OnDisk& done, CollectionInfo info,
                  bool sync) {
  const Lsn lsn = done.mark.lsn;
  info.checkpoint_lsn = lsn;
  info.slots = done.mark.slots;
  info.codes = done.codes;
  Store::Batch batch(context.store);
  batch.put_info(collection.name(), info);
  for (const Lsn record : collection.window().superseded_until(lsn)) batch.delete_record(collection.number(), record);
  VS_RETURN_IF_ERROR(context.queue.write(batch, sync));
  collection.window().forget_superseded(lsn);
  collection.info() = info;
  collection.add_replay_cost(-done.replay_cost);
  return {};
}

Status write_down_in_steps(const StorageContext& context, CollectionImpl& collection, const Generation& generation,
                           const OnDisk& done) {
  for (;;) {
    const auto begin = Clock::now();
    {
      std::lock_guard<std::mutex> commit_lock(context.queue.commit_mutex());
      if (collection.dropped()) return {};
      std::lock_guard<std::mutex> lock(collection.info_mutex());
      const Lsn lsn = collection.window().superseded_bound(done.mark.lsn, context.trimmed_at_once);
      if (lsn == done.mark.lsn) return write_down(context, collection, done, collection.info(), true);
      const OnDisk step{.mark = {lsn, generation.first_after(lsn).value}, .codes = done.codes, .replay_cost = {}};
      VS_RETURN_IF_ERROR(write_down(context, collection, step, collection.info(), false));
    }
    // Or the mutex would mostly be taken again before anybody who waits for it has woken up.
    std::this_thread::sleep_for(Clock::now() - begin);
  }
}

}  // namespace

Status checkpoint_collection(const StorageContext& context, CollectionImpl& collection) {
  if (collection.dropped()) return {};
  const std::shared_ptr<Generation> generation = collection.generation();
  // A start after a clean end looks at no links, so those that the vacuum changed have to be on the disk by then, too.
  const bool links_changed = generation->vacuum().take_changed();
  {
    std::lock_guard<std::mutex> lock(collection.info_mutex());
    const bool codes_changed = collection.info().codes != generation->graph().codes().state();
    if (!links_changed && !codes_changed && collection.window().mark().lsn <= collection.info().checkpoint_lsn)
      return {};
  }
  const Lsn audited = collection.window().mark().lsn;
  VS_ASSIGN_OR_RETURN(const OnDisk done, bring_to_disk(context, collection, *generation));
  collection.set_audited(audited);
  return write_down_in_steps(context, collection, *generation, done);
}

Status checkpoint_and_switch(const StorageContext& context, CollectionImpl& collection,
                             std::chrono::nanoseconds& stall) {
  const std::shared_ptr<Generation> next = collection.targets().next;
  const Lsn audited = collection.window().mark().lsn;
  VS_ASSIGN_OR_RETURN(OnDisk done, bring_to_disk(context, collection, *next));

  std::lock_guard<std::mutex> commit_lock(context.queue.commit_mutex());
  const auto begin = Clock::now();
  if (collection.dropped()) return {Code::kNotFound, "dropped"};
  done.mark.lsn = collection.window().superseded_bound(done.mark.lsn, context.trimmed_at_once);
  done.mark.slots = next->first_after(done.mark.lsn).value;
  std::lock_guard<std::mutex> lock(collection.info_mutex());
  CollectionInfo info = collection.info();
  info.generation = next->identity().number;
  const uint32_t ef_search = info.config.ef_search;  // may have been altered since `next` was begun
  info.config = next->config();
  info.config.ef_search = ef_search;
  VS_RETURN_IF_ERROR(write_down(context, collection, done, info, true));
  collection.switch_to_next();
  collection.set_audited(audited);
  stall = Clock::now() - begin;
  return {};
}

Status encode_again(const StorageContext& context, CollectionImpl& collection) {
  const std::shared_ptr<Generation> generation = collection.generation();
  {
    std::lock_guard<std::mutex> commit_lock(context.queue.commit_mutex());
    if (collection.dropped()) return {};
    std::lock_guard<std::mutex> lock(collection.info_mutex());
    CollectionInfo info = collection.info();
    info.codes.reset();
    Store::Batch batch(context.store);
    batch.put_info(collection.name(), info);
    VS_RETURN_IF_ERROR(context.queue.write(batch, true));
    collection.info() = info;
  }
  generation->graph().encode_all();
  return {};
}

}  // namespace vs::storage
