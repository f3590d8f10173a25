// What searches and insertions compute distances from: the vectors' floats or, when there are, their codes (quantizer.h).
//
// Codes begin with the range of the first vectors, once there are kLearnSlots; until then floats serve. When too many new
// vectors lie outside of the range, floats serve again, until it was learned anew and all were encoded again, in place.
// So nobody reads a code while it changes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>

#include "index/pca_codes.h"
#include "index/quantizer.h"
#include "index/rows.h"

namespace vs {

struct CodeState {
  CodeRange range;
  bool exact = false;  // all of them
  friend bool operator==(const CodeState&, const CodeState&) = default;
};

struct PcaState {
  uint32_t components = 0;
  double share = 0;  // of the variance
  uint64_t bytes = 0;
};

class Codes {
 public:
  static constexpr uint32_t kLearnSlots = 1024;

  static constexpr size_t stride(uint32_t dim) { return (size_t{dim} + CodeRows::kTail + 63) / 64 * 64; }

  // `floats`: rows of the vectors. `codes`: room for stride() bytes a slot; null: floats are all there is. `pca`: short codes,
  // too, where they pay.
  Codes(Metric metric, const Rows& floats, std::byte* codes, bool pca = false);

  // While it lives the rows are what they are.
  class Use {
   public:
    Use(Use&& other) noexcept
        : readers_(std::exchange(other.readers_, nullptr)), rows_(other.rows_), pca_(other.pca_) {}
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    Use& operator=(Use&&) = delete;
    ~Use() {
      if (readers_ != nullptr) readers_->fetch_sub(1);
    }
    const Rows& rows() const { return *rows_; }
    const PcaCodes* pca() const { return pca_; }  // of these rows; null: there are none

   private:
    friend class Codes;
    Use(std::atomic<uint32_t>* readers, const Rows* rows, const PcaCodes* pca)
        : readers_(readers), rows_(rows), pca_(pca) {}
    std::atomic<uint32_t>* readers_;
    const Rows* rows_;
    const PcaCodes* pca_;
  };
  Use use() const;

  const Rows& floats() const { return floats_; }
  // Makes the row of a query: floats as they are, else their code, for which there is room in `code`. Returns the row.
  // `exact`: distances from it are as good as from floats, as long as exact() says so of the others.
  const void* query_row(const Rows& rows, const float* query, std::span<uint8_t> code, bool& exact) const;
  // Whether all codes are exact.
  bool exact() const { return exact_.load(std::memory_order_acquire); }
  // What serves now; nullopt: floats.
  std::optional<CodeState> state() const;

  // Writes the codes of slots first..last-1. REQUIRES: one thread; their vectors are written, and they do not exist for
  // readers yet.
  void extend(uint32_t first, uint32_t last);
  // Slots 0..slots-1 have codes as state() said, or none that are good. REQUIRES: before extend().
  void adopt(uint32_t slots, std::optional<CodeState> state);
  // The vector of a slot was written again.
  void rewrite(Slot slot);
  // Whether its code, if codes serve, is what its vector gives.
  bool good(Slot slot) const;
  // Whether encode_all() is to be called.
  bool due() const;
  // Learns the range from the vectors for which `counts`, or from all if there are none, and encodes all. REQUIRES: one thread
  // at a time; extend() may be called meanwhile.
  void encode_all(const std::function<bool(Slot)>& counts);

  // Short codes, where they were asked for: what serves now, whether learn_pca() is to be called, and that. REQUIRES: the
  // thread of encode_all().
  std::optional<PcaState> pca_state() const;
  bool pca_due() const;
  void learn_pca(const std::function<bool(Slot)>& counts);

 private:
  // Readers count themselves in one of two sets; wait_for_readers() turns new ones to the other and waits for the first
  // to be empty. Shards keep threads off each other's cache lines.
  struct alignas(64) Shard {
    std::array<std::atomic<uint32_t>, 2> readers{};
  };
  static constexpr size_t kShards = 32;

  void wait_for_readers();
  struct Tally {
    uint64_t clipped = 0;
    bool exact = true;
  };
  std::span<const float> vector(uint32_t slot) const;
  CodeRange learn(uint32_t slots, const std::function<bool(Slot)>& counts) const;
  Tally encode(const Quantizer& quantizer, uint32_t first, uint32_t last);
  void count(const Tally& tally);
  bool out_of_range() const;
  void serve();

  mutable std::array<Shard, kShards> shards_;
  const Metric metric_;
  const Rows floats_;
  std::byte* const codes_;
  const bool wants_pca_;
  Rows rows_;  // of the codes; changes while floats serve only
  std::atomic<const Rows*> active_;
  std::atomic<const PcaCodes*> active_pca_{nullptr};  // of rows_
  std::atomic<uint32_t> epoch_{0};

  mutable std::mutex mutex_;
  std::optional<Quantizer> quantizer_;  // of new slots
  uint32_t extended_ = 0;
  uint32_t adopted_ = 0;
  uint64_t clipped_ = 0;
  std::atomic<bool> exact_{true};
  std::unique_ptr<PcaCodes> pca_;
  uint32_t pca_due_at_ = PcaCodes::kLearnSlots;  // slots
};

}  // namespace vs
