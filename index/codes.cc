#include "index/codes.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "index/geometry.h"

namespace vs {
namespace {

// The range is learned anew when one in so many was clipped since the last time: so each vector is encoded again that
// often at most for each that was clipped.
constexpr uint64_t kClippedShare = 64;
constexpr uint64_t kClippedMin = 16;
// Vectors to learn a range from, evenly spaced.
constexpr uint32_t kSampleMax = 16'384;
// Memory of short codes that are to come; what is not used is not taken, but the system may refuse to promise too much.
constexpr uint32_t kPcaRoomMax = 12'000'000;

size_t shard_of_this_thread() {
  static std::atomic<size_t> next{0};
  thread_local const size_t number = next.fetch_add(1, std::memory_order_relaxed);
  return number;
}

}  // namespace

Codes::Codes(Metric metric, const Rows& floats, std::byte* codes, bool pca)
    : metric_(metric), floats_(floats), codes_(codes), wants_pca_(codes != nullptr && pca), active_(&floats_) {}

Codes::Use Codes::use() const {
  if (codes_ == nullptr) return {nullptr, &floats_, nullptr};
  Shard& shard = shards_[shard_of_this_thread() % kShards];
  // All of these in one order, with those of wait_for_readers() and encode_all(): who is not counted yet sees what is
  // active then.
  std::atomic<uint32_t>& readers = shard.readers[epoch_.load() % 2];
  readers.fetch_add(1);
  const Rows* const rows = active_.load();
  return {&readers, rows, rows == &rows_ ? active_pca_.load() : nullptr};
}

// Twice, for the sake of whoever read the epoch long ago and counted itself late.
void Codes::wait_for_readers() {
  for (int turn = 0; turn < 2; ++turn) {
    const uint32_t old = epoch_.fetch_add(1) % 2;
    for (const Shard& shard : shards_) {
      while (shard.readers[old].load() != 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
}

const void* Codes::query_row(const Rows& rows, const float* query, std::span<uint8_t> code, bool& exact) const {
  exact = true;
  if (rows.of_codes == nullptr) return query;
  exact = Quantizer(metric_, rows.range).encode({query, floats_.dim}, code) == Quantizer::Fit::kExact;
  return code.data();
}

std::span<const float> Codes::vector(uint32_t slot) const {
  return {reinterpret_cast<const float*>(floats_.row(Slot{slot})), floats_.dim};
}

CodeRange Codes::learn(uint32_t slots, const std::function<bool(Slot)>& counts) const {
  RangeLearner learner(metric_);
  const uint32_t stride = slots / kSampleMax + 1;
  for (uint32_t i = 0; i < slots; i += stride) {
    if (counts(Slot{i})) learner.add(vector(i));
  }
  // The range of nothing would clip hardly anything, and so would never be learned anew.
  if (learner.empty()) {
    for (uint32_t i = 0; i < slots; i += stride) learner.add(vector(i));
  }
  return learner.range();
}

Codes::Tally Codes::encode(const Quantizer& quantizer, uint32_t first, uint32_t last) {
  Tally tally;
  const size_t bytes = stride(static_cast<uint32_t>(floats_.dim));
  for (uint32_t i = first; i < last; ++i) {
    const std::span code(reinterpret_cast<uint8_t*>(codes_) + size_t{i} * bytes, bytes);
    const Quantizer::Fit fit = quantizer.encode(vector(i), code);
    tally.exact = tally.exact && fit == Quantizer::Fit::kExact;
    tally.clipped += fit == Quantizer::Fit::kClipped ? 1 : 0;
  }
  return tally;
}

void Codes::count(const Tally& tally) {
  clipped_ += tally.clipped;
  if (!tally.exact) exact_.store(false, std::memory_order_release);  // pairs with exact()
}

// REQUIRES: floats serve, and no reader is left that knows anything else.
void Codes::serve() {
  const size_t bytes = stride(static_cast<uint32_t>(floats_.dim));
  rows_ = {.base = codes_,
           .stride = bytes,
           .bytes = bytes,
           .dim = floats_.dim,
           .of_codes = kernels().code_products,
           .weight = quantizer_->weight(),
           .factor = quantizer_->factor(),
           .range = quantizer_->range()};
  active_.store(&rows_);
}

void Codes::extend(uint32_t first, uint32_t last) {
  if (codes_ == nullptr) return;
  std::lock_guard<std::mutex> lock(mutex_);
  extended_ = last;
  if (quantizer_) {
    count(encode(*quantizer_, std::max(first, adopted_), last));
    if (pca_ && last <= pca_->capacity()) {
      pca_->encode(first, last);
    } else {
      active_pca_.store(nullptr);
    }
    // Whatever is linked by clipped codes is linked badly.
    if (out_of_range()) active_.store(&floats_);
  } else if (last >= kLearnSlots && adopted_ < kLearnSlots) {
    quantizer_.emplace(metric_, learn(last, [](Slot) { return true; }));
    count(encode(*quantizer_, 0, last));
    serve();
  }
}

void Codes::adopt(uint32_t slots, std::optional<CodeState> state) {
  if (codes_ == nullptr) return;
  std::lock_guard<std::mutex> lock(mutex_);
  adopted_ = slots;
  if (!state) return;
  quantizer_.emplace(metric_, state->range);
  exact_.store(state->exact);
  serve();
}

void Codes::rewrite(Slot slot) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (codes_ == nullptr || !quantizer_) return;
  count(encode(*quantizer_, slot.value, slot.value + 1));
  if (pca_ && slot.value < pca_->capacity()) pca_->encode(slot.value, slot.value + 1);
}

bool Codes::good(Slot slot) const {
  std::lock_guard<std::mutex> lock(mutex_);
  if (active_.load() != &rows_) return true;
  std::vector<uint8_t> code(rows_.bytes);
  quantizer_->encode(vector(slot.value), code);
  return std::memcmp(code.data(), rows_.row(slot), code.size()) == 0;
}

bool Codes::due() const {
  if (codes_ == nullptr) return false;
  std::lock_guard<std::mutex> lock(mutex_);
  return quantizer_ ? out_of_range() : extended_ >= kLearnSlots;
}

bool Codes::out_of_range() const { return clipped_ > std::max<uint64_t>(kClippedMin, extended_ / kClippedShare); }

void Codes::encode_all(const std::function<bool(Slot)>& counts) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (codes_ == nullptr || extended_ == 0) return;
  const uint32_t slots = extended_;
  active_.store(&floats_);
  active_pca_.store(nullptr);
  lock.unlock();
  wait_for_readers();
  const CodeRange range = learn(slots, counts);

  lock.lock();
  pca_.reset();
  pca_due_at_ = PcaCodes::kLearnSlots;
  quantizer_.emplace(metric_, range);
  clipped_ = 0;
  exact_.store(true);
  const Quantizer quantizer = *quantizer_;
  const uint32_t last = extended_;  // those behind are encoded as they come
  lock.unlock();
  const Tally tally = encode(quantizer, 0, last);

  lock.lock();
  count({.clipped = 0, .exact = tally.exact});  // the dead may lie outside
  if (!out_of_range()) serve();                 // else what came meanwhile lies outside, and this is due again
}

bool Codes::pca_due() const {
  if (!wants_pca_) return false;
  std::lock_guard<std::mutex> lock(mutex_);
  return active_.load() == &rows_ && extended_ >= pca_due_at_;
}

// Beside those that serve until then. Codes stay as they are meanwhile, since only this thread may encode them again.
void Codes::learn_pca(const std::function<bool(Slot)>& counts) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!wants_pca_ || active_.load() != &rows_) return;
  const uint32_t slots = extended_;
  const Rows codes = rows_;
  lock.unlock();
  // Learned anew whenever there are three times as many, since what comes later may lie along other axes.
  const uint32_t room = std::min(3 * std::min(slots, kPcaRoomMax / 3), Geometry::kSlotsMax - slots);
  const uint32_t capacity = slots + room;
  std::unique_ptr<PcaCodes> learned = PcaCodes::learn(metric_, codes, slots, counts, capacity);
  if (learned) learned->encode(0, slots);

  lock.lock();
  pca_due_at_ = capacity;
  if (learned && extended_ > capacity) return;
  if (learned) {
    learned->encode(slots, extended_);
    pca_due_at_ = slots + std::max(room / 3 * 2, 1u);
  }
  std::swap(pca_, learned);
  active_pca_.store(pca_.get());
  lock.unlock();
  wait_for_readers();  // of what was swapped out
}

std::optional<PcaState> Codes::pca_state() const {
  std::lock_guard<std::mutex> lock(mutex_);
  if (active_.load() != &rows_ || active_pca_.load() == nullptr) return std::nullopt;
  return PcaState{pca_->components(), pca_->share(), uint64_t{extended_} * pca_->rows().stride};
}

std::optional<CodeState> Codes::state() const {
  std::lock_guard<std::mutex> lock(mutex_);
  if (active_.load() == &floats_) return std::nullopt;
  return CodeState{rows_.range, exact()};
}

}  // namespace vs
