// A checkpoint: the mapped files on disk hold everything up to an LSN, and RocksDB says which.
//
// The order is the argument. (1) The mark is taken: all operations up to it are in the files' memory. (2) The files are
// synced: those operations are on disk now, with parts of later ones, which a replay overwrites. (3) RocksDB is told,
// synchronously. A crash before (3) leaves the older checkpoint, from which the log is still whole, since trimming
// happens in the same atomic write as (3).
#include "index/audit.h"
#include "storage/collection_impl.h"
#include "storage/commit_queue.h"

namespace vs::storage {

Status checkpoint_collection(const StorageContext& context, CollectionImpl& collection) {
  if (collection.dropped()) return {};
  {
    std::lock_guard<std::mutex> lock(collection.info_mutex());
    if (collection.window().mark().lsn <= collection.info().checkpoint_lsn) return {};
  }
  const std::shared_ptr<Generation> generation = collection.generation();
  // Insertion in parallel and pruning may leave a node that no list leads to.
  const Lsn audited = collection.window().mark().lsn;
  relink_unreachable(generation->graph());
  collection.set_audited(audited);
  const std::chrono::nanoseconds saved = collection.replay_cost();
  const AppliedWindow::Mark mark = collection.window().mark();
  if (Status synced = generation->sync(); !synced.ok()) {
    // What the kernel has of these pages is unknown from now on, and a second sync might well succeed without them.
    context.queue.fail(synced);
    return synced;
  }

  std::lock_guard<std::mutex> commit_lock(context.queue.commit_mutex());
  if (collection.dropped()) return {};
  std::lock_guard<std::mutex> lock(collection.info_mutex());
  CollectionInfo info = collection.info();
  info.checkpoint_lsn = mark.lsn;
  info.slots = mark.slots;
  Store::Batch batch(context.store);
  batch.put_info(collection.name(), info);
  for (const Lsn lsn : collection.window().superseded_until(mark.lsn)) batch.delete_record(collection.number(), lsn);
  VS_RETURN_IF_ERROR(context.queue.write(batch, true));
  collection.window().forget_superseded(mark.lsn);
  collection.info() = info;
  collection.add_replay_cost(-saved);
  return {};
}

}  // namespace vs::storage
