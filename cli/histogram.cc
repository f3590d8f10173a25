#include "cli/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

namespace vs::cli {
namespace {

// Each power of two has so many buckets; below 2^8 ns each nanosecond has its own.
constexpr int kBits = 7;
constexpr uint64_t kPerPower = uint64_t{1} << kBits;
constexpr size_t kBuckets = (64 - kBits) << kBits;

size_t bucket_of(uint64_t value) {
  const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - 1 - kBits);
  return static_cast<size_t>((static_cast<uint64_t>(shift) << kBits) + (value >> shift));
}

// The largest value in it.
uint64_t end_of(size_t bucket) {
  const uint64_t shift = std::max<uint64_t>(bucket >> kBits, 1) - 1;
  const uint64_t first = bucket - (shift << kBits);
  return (first << shift) + ((uint64_t{1} << shift) - 1);
}

}  // namespace

Histogram::Histogram() : buckets_(kBuckets) {}

void Histogram::record(std::chrono::nanoseconds duration) {
  const int64_t value = std::max<int64_t>(duration.count(), 0);
  ++buckets_[bucket_of(static_cast<uint64_t>(value))];
  ++count_;
  max_ = std::max(max_, value);
}

void Histogram::merge(const Histogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

std::chrono::nanoseconds Histogram::percentile(double percent) const {
  const auto rank = static_cast<uint64_t>(std::ceil(percent / 100 * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen != 0 && seen >= rank) return std::min(std::chrono::nanoseconds(end_of(i)), max());
  }
  return max();
}

}  // namespace vs::cli
