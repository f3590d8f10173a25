// Short codes for searching (codes=pca): the leading principal components of what the codes hold, a byte each.
//
// A search compares hundreds of points to find ten, and what it waits for is their memory. A row here is a few cache lines
// instead of dim bytes: of the point x, moved by the mean and rotated, the leading components, and the square of its whole
// distance from the mean among the terms. So what is left out of a distance is only the product of the two residuals, which
// is small where few components hold most of the variance, and about 0 on average. The nearest by that estimate are put in
// order by their codes afterwards.
//
// All of it is learned and computed from the codes, in memory: nothing of it is on the disk.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "index/rows.h"

namespace vs {

class PcaCodes {
 public:
  static constexpr uint32_t kLearnSlots = 8192;
  static constexpr uint32_t kDimMax = 2048;  // the decomposition takes dim^3

  // From those of slots 0..slots-1 for which `live`. There is room for `capacity` rows. Null where short codes do not pay: no
  // half of the bytes holds kShareMin of the variance, or there is too little to learn from.
  static std::unique_ptr<PcaCodes> learn(Metric metric, const Rows& codes, uint32_t slots,
                                         const std::function<bool(Slot)>& live, uint32_t capacity);

  const Rows& rows() const { return rows_; }
  uint32_t capacity() const { return rows_.slots_max; }
  uint32_t components() const { return static_cast<uint32_t>(offsets_.size()); }
  double share() const { return share_; }  // of the variance that the components hold

  // Writes the rows of slots first..last-1, last <= capacity().
  void encode(uint32_t first, uint32_t last);
  // `code` is a row of codes, `out` has rows().bytes.
  void encode(const uint8_t* code, uint8_t* out) const;

 private:
  PcaCodes() = default;
  CodeTerms terms(const uint8_t* code, int64_t component_sum) const;

  Rows codes_;
  Rows rows_;
  double share_ = 0;
  // In units of a code's step, as all that follows.
  float per_step_ = 0;                 // of a short code
  std::vector<float> mean_;            // dim
  std::vector<float> mean_less_zero_;  // dim, under Metric::kDot
  float zero_term_ = 0;
  // component = matrix_scale_ * (products of the code with a column of `matrix_`) - offset
  std::vector<int8_t> tiles_;
  CodeMatrix matrix_;
  float matrix_scale_ = 0;
  std::vector<float> offsets_;  // one a component
  struct alignas(64) CacheLine {
    std::array<uint8_t, 64> bytes;
  };
  std::unique_ptr<CacheLine[]> memory_;
};

}  // namespace vs
