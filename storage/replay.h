// Putting the operations of the log into a generation: what recovery and rebuild share.
//
// Two phases. read() gives every upsert its slot and kills the slots of what was superseded; nothing is linked yet.
// link() then links what is still alive by the ordinary insertion, on all cores. recovery.cc has the reasons. A rebuild
// repeats both, with what was written meanwhile (rebuild.cc).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "storage/collection_impl.h"

namespace vs::storage {

class Replay {
 public:
  // Which upserts get a slot.
  enum class Slots : uint8_t {
    kAll,      // the same ones as before, for the files of a checkpoint
    kCurrent,  // those that are not superseded yet, for new files
  };
  // All are kept by reference. `progress` may be null; read() and link() count operations in it, and stop with
  // kShuttingDown when it is cancelled.
  Replay(const StorageContext& context, const std::string& name, const CollectionInfo& info, Generation& generation,
         Slots slots, Progress* progress = nullptr)
      : context_(context), name_(name), info_(info), generation_(generation), slots_(slots), progress_(progress) {}

  // Reads the log behind `after`. `seen` gets each record, when it has its slot. Errors: kCorrupt, kNoSpace, kIoError,
  // kLimit; those of `seen`.
  Status read(Lsn after, const std::function<Status(Lsn, const Record&)>& seen);
  // Links and publishes those slots that read() added since the last link() and that are alive, and those of `damaged`;
  // marks the new ones that are not. What is killed meanwhile stays dead. Returns how many were linked.
  Result<size_t> link(const std::vector<Slot>& damaged);

  uint64_t operations() const { return operations_; }
  bool has_new_slots() const { return !new_slots_.empty(); }

 private:
  Graph& graph() { return generation_.graph(); }
  Status append(Lsn lsn, const Record& record);
  Status unreadable(Lsn lsn, const Status& why) const;
  bool cancelled() const { return progress_ != nullptr && progress_->cancelled; }

  const StorageContext& context_;
  const std::string& name_;
  const CollectionInfo& info_;
  Generation& generation_;
  const Slots slots_;
  Progress* const progress_;
  std::vector<Slot> new_slots_;
  uint64_t operations_ = 0;
  uint32_t reserved_slots_ = 0;
  uint64_t reserved_id_bytes_ = 0;
};

}  // namespace vs::storage
