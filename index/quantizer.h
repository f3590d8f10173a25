// One byte a component, over one range for all dimensions and points: component = low + step * code.
//
// A range is learned from vectors. Where their components lie on a grid of at most 256 values (pixels, counts), it is that
// grid, and codes tell as much as floats; else it spans from the smallest to the largest. Under Metric::kDot 0 has a code
// of its own, `zero`, so that sums of products are whole numbers, too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "index/distance.h"

namespace vs {

struct CodeRange {
  float low = 0;
  float step = 1;  // at least kStepMin, so that 1 / step is a number
  static constexpr float kStepMin = std::numeric_limits<float>::min();
  friend bool operator==(const CodeRange&, const CodeRange&) = default;
};

// The last CodeRows::kTail bytes of a row of codes. Sums over codes are exact whole numbers: of (x-q)^2, or under Metric::kDot of
// -(x-zero)(q-zero). What is not a product of the two is computed once for each row, so that for row x and query q
//   sum = x.as_row + q.as_query - weight * the product of x and q (CodeProductsFunction).
struct CodeTerms {
  uint64_t as_row = 0;
  uint64_t as_query = 0;
  static CodeTerms of(const void* row, size_t bytes) {
    CodeTerms terms;
    std::memcpy(&terms, static_cast<const std::byte*>(row) + bytes - sizeof terms, sizeof terms);
    return terms;
  }
};
static_assert(sizeof(CodeTerms) == CodeRows::kTail);

class Quantizer {
 public:
  enum class Fit : uint8_t { kExact, kRounded, kClipped };

  Quantizer(Metric metric, CodeRange range);

  CodeRange range() const { return range_; }
  int zero() const { return zero_; }
  int64_t weight() const { return metric_ == Metric::kDot ? 1 : 2; }
  // By which a sum over codes is to be multiplied to be what index_distance() gives, nearly.
  float factor() const { return factor_; }
  // Writes a row of code.size() bytes: vector.size() codes, zeros, and the terms. kExact: no component moved by more than
  // floats of this range differ by rounding. kClipped: some lie outside the range by more than half a step.
  Fit encode(std::span<const float> vector, std::span<uint8_t> code) const;

 private:
  CodeTerms terms(std::span<const uint8_t> codes) const;

  Metric metric_;
  CodeRange range_;
  int zero_ = 0;
  float factor_;
  float tolerance_;
};

class RangeLearner {
 public:
  explicit RangeLearner(Metric metric) : metric_(metric) {}
  void add(std::span<const float> vector);
  bool empty() const { return smallest_ > largest_; }
  CodeRange range() const;

 private:
  bool on_a_grid(CodeRange& grid) const;

  Metric metric_;
  float smallest_ = std::numeric_limits<float>::max();
  float largest_ = std::numeric_limits<float>::lowest();
  std::vector<float> distinct_;  // sorted; of no use once there are more than codes
  bool many_ = false;
};

}  // namespace vs
