#include "storage/replay.h"

#include <atomic>
#include <thread>

namespace vs::storage {
namespace {

// Space for so many slots is backed at once.
constexpr uint32_t kReserveSlots = 64;

const Status kCancelled{Code::kShuttingDown, "cancelled"};

}  // namespace

Status Replay::unreadable(Lsn lsn, const Status& why) const {
  return {Code::kCorrupt, "collection '" + name_ + "', operation " + std::to_string(lsn.value) + ": " + why.message() +
                              "; restore a backup"};
}

Status Replay::read(Lsn after, const std::function<Status(Lsn, const Record&)>& seen) {
  return context_.store.for_each_record(info_.number, after, [&](Lsn lsn, std::string_view value) -> Status {
    if (cancelled()) return kCancelled;
    const auto record = decode_record(value, info_.config.dim);
    if (!record.ok()) return unreadable(lsn, record.status());
    ++operations_;
    if (progress_ != nullptr) ++progress_->done;
    if (record->kind == Record::Kind::kUpsert) VS_RETURN_IF_ERROR(append(lsn, *record));
    generation_.kill(record->previous);
    return seen(lsn, *record);
  });
}

Status Replay::append(Lsn lsn, const Record& record) {
  if (slots_ == Slots::kCurrent) {
    VS_ASSIGN_OR_RETURN(const auto current, context_.store.find_id(info_.number, record.id));
    if (current != lsn) return {};
  }
  const MappedFile::Space space{context_.directory, context_.free_space_reserve_bytes};
  if (reserved_slots_ == 0 || reserved_id_bytes_ < record.id.size()) {
    VS_RETURN_IF_ERROR(generation_.reserve(kReserveSlots, kReserveSlots * limits::kIdBytes, space));
    reserved_slots_ = kReserveSlots;
    reserved_id_bytes_ = kReserveSlots * limits::kIdBytes;
  }
  std::vector<float> vector = decode_vector(record.vector);
  if (const Status valid = validate_vector(info_.config.metric, vector); !valid.ok()) return unreadable(lsn, valid);
  if (info_.config.metric == Metric::kCosine) normalize(vector);
  new_slots_.push_back(generation_.append(lsn, record.id, vector));
  --reserved_slots_;
  reserved_id_bytes_ -= record.id.size();
  return {};
}

Result<size_t> Replay::link(const std::vector<Slot>& damaged) {
  std::vector<Slot> slots;
  slots.reserve(damaged.size() + new_slots_.size());
  for (const Slot slot : damaged) {
    if (graph().live(slot)) slots.push_back(slot);
  }
  for (const Slot slot : new_slots_) {
    if (generation_.has_flag(slot, Row::kDead)) {
      generation_.set_flag(slot, Row::kUnlinked);
    } else {
      slots.push_back(slot);
    }
  }
  new_slots_.clear();
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < slots.size() && !cancelled(); i = next++) {
      graph().insert(slots[i]);
      graph().publish(slots[i]);
      // Killed while it was linked: whichever of the two comes second sees the other.
      if (generation_.has_flag(slots[i], Row::kDead)) graph().retract(slots[i]);
      if (progress_ != nullptr) ++progress_->done;
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < context_.threads; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (cancelled()) return kCancelled;
  return slots.size();
}

}  // namespace vs::storage
