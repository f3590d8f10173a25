#include "index/quantizer.h"

#include <algorithm>
#include <cmath>

namespace vs {
namespace {

constexpr int kCodeMax = 255;
// Of the range's larger end: what pixel / 255 differs by when it is computed one way or another.
constexpr double kToleranceShare = 0x1p-21;

double magnitude(double low, double high) { return std::max(std::fabs(low), std::fabs(high)); }

}  // namespace

Quantizer::Quantizer(Metric metric, CodeRange range) : metric_(metric), range_(range) {
  const double step = static_cast<double>(range.step);
  const double low = static_cast<double>(range.low);
  if (metric == Metric::kDot) zero_ = std::clamp(static_cast<int>(std::lround(-low / step)), 0, kCodeMax);
  // Half the square of the distance between unit vectors is 1 - dot.
  factor_ = static_cast<float>(metric == Metric::kCosine ? step * step / 2 : step * step);
  tolerance_ = static_cast<float>(magnitude(low, low + kCodeMax * step) * kToleranceShare);
}

Quantizer::Fit Quantizer::encode(std::span<const float> vector, std::span<uint8_t> code) const {
  const float error = kernels().encoding.to_codes(vector.data(), vector.size(), range_.low, range_.step, code.data());
  std::fill(code.begin() + static_cast<ptrdiff_t>(vector.size()), code.end(), uint8_t{0});
  const CodeTerms sums = terms(code.first(vector.size()));
  std::memcpy(&code[code.size() - sizeof sums], &sums, sizeof sums);
  if (error <= tolerance_) return Fit::kExact;
  return error <= 0.51f * range_.step + tolerance_ ? Fit::kRounded : Fit::kClipped;
}

// Of (x-q)^2: x^2 - 2x(q-128) - 256x + q^2. Of -(x-zero)(q-zero): -x(q-128) + (zero-128)x + zero*q - zero^2.
CodeTerms Quantizer::terms(std::span<const uint8_t> codes) const {
  const auto [sum, squares] = kernels().encoding.code_sums(codes.data(), codes.size());
  if (metric_ != Metric::kDot) return {.as_row = squares - 256 * sum, .as_query = squares};
  const auto zero = static_cast<uint64_t>(zero_);
  return {.as_row = (zero - 128) * sum, .as_query = zero * sum - zero * zero * codes.size()};
}

void RangeLearner::add(std::span<const float> vector) {
  for (const float x : vector) {
    smallest_ = std::min(smallest_, x);
    largest_ = std::max(largest_, x);
    if (many_) continue;
    const auto place = std::lower_bound(distinct_.begin(), distinct_.end(), x);
    if (place != distinct_.end() && *place == x) continue;
    distinct_.insert(place, x);
    many_ = distinct_.size() > kCodeMax + 1;
  }
}

// The step is the smallest gap; then, since a gap between large numbers has lost digits, the share of the whole.
bool RangeLearner::on_a_grid(CodeRange& grid) const {
  if (many_ || distinct_.size() < 2) return false;
  const auto number = [](float x) { return static_cast<double>(x); };
  double gap = number(largest_) - number(smallest_);
  for (size_t i = 1; i < distinct_.size(); ++i) gap = std::min(gap, number(distinct_[i]) - number(distinct_[i - 1]));
  const double steps = std::round((number(largest_) - number(smallest_)) / gap);
  const double step = (number(largest_) - number(smallest_)) / steps;
  if (steps > kCodeMax || step < static_cast<double>(CodeRange::kStepMin)) return false;
  const double tolerance = magnitude(number(smallest_), number(largest_)) * kToleranceShare / 2;
  for (const float x : distinct_) {
    const double offset = number(x) - number(smallest_);
    if (std::fabs(offset - std::round(offset / step) * step) > tolerance) return false;
  }
  grid = {smallest_, static_cast<float>(step)};
  return true;
}

CodeRange RangeLearner::range() const {
  if (empty()) return {};
  double low = static_cast<double>(smallest_);
  double high = static_cast<double>(largest_);
  CodeRange range;
  if (metric_ == Metric::kDot) {
    low = std::min(low, 0.0);
    high = std::max(high, 0.0);
    if (on_a_grid(range)) {
      const double zero = std::round(-static_cast<double>(range.low) / static_cast<double>(range.step));
      const bool zero_on_it = std::fabs(zero * static_cast<double>(range.step) + static_cast<double>(range.low)) <=
                              magnitude(low, high) * kToleranceShare;
      const double first = std::max(zero, 0.0);
      if (zero_on_it && (high - low) / static_cast<double>(range.step) <= kCodeMax + 0.5)
        return {static_cast<float>(-first * static_cast<double>(range.step)), range.step};
    }
    // One step more than needed, so that 0 can be moved to the grid.
    const double step = (high - low) / (kCodeMax - 1);
    if (!(static_cast<float>(step) >= CodeRange::kStepMin)) return {};
    return {static_cast<float>(-std::ceil(-low / step) * step), static_cast<float>(step)};
  }
  if (on_a_grid(range)) return range;
  const auto step = static_cast<float>((high - low) / kCodeMax);
  if (!(step >= CodeRange::kStepMin)) return {smallest_, 1};
  return {smallest_, step};
}

}  // namespace vs
