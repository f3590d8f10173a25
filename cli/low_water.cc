#include "cli/low_water.h"

#include <iterator>

#include "index/status.h"

namespace vs::cli {

void LowWater::begin(uint64_t first, uint64_t count, uint64_t digest) {
  const std::lock_guard lock(mutex_);
  VS_CHECK(chunks_.empty() ? first == mark_.rows : first == chunks_.rbegin()->first + chunks_.rbegin()->second.count);
  chunks_.emplace(first, Chunk{count, count, digest, 0});
}

void LowWater::settle(uint64_t row, bool rejected) {
  const std::lock_guard lock(mutex_);
  const auto after = chunks_.upper_bound(row);
  VS_CHECK(after != chunks_.begin());
  Chunk& chunk = std::prev(after)->second;
  VS_CHECK(chunk.left > 0);
  --chunk.left;
  if (rejected) ++chunk.rejected;
  for (auto first = chunks_.begin(); first != chunks_.end() && first->second.left == 0; first = chunks_.erase(first)) {
    mark_.rows += first->second.count;
    mark_.digest = first->second.digest;
    mark_.rejected += first->second.rejected;
  }
}

LowWaterMark LowWater::mark() {
  const std::lock_guard lock(mutex_);
  return mark_;
}

}  // namespace vs::cli
