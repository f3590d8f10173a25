// How often each duration came, in little memory: buckets whose width grows with the duration (as in an HdrHistogram, of
// which Debian 12 has no package for C++).
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace vs::cli {

// Of durations in nanoseconds, those below 0 counted as 0. A percentile is too large by less than a 128th of itself.
class Histogram {
 public:
  Histogram();

  void record(std::chrono::nanoseconds duration);
  void merge(const Histogram& other);

  uint64_t count() const { return count_; }
  std::chrono::nanoseconds max() const { return std::chrono::nanoseconds(max_); }
  // By nearest rank: the largest duration that falls into the bucket of that rank, at most max(). 0 if nothing was
  // recorded. REQUIRES: 0 < percent <= 100.
  std::chrono::nanoseconds percentile(double percent) const;

 private:
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  int64_t max_ = 0;
};

}  // namespace vs::cli
