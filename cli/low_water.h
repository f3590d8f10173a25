// Up to which row of an import everything is settled, while several connections have rows in flight.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>

namespace vs::cli {

// Rows below it were acknowledged or rejected, all of them.
struct LowWaterMark {
  uint64_t rows = 0;
  uint64_t digest = 0;    // SourceRow::digest of the last of them
  uint64_t rejected = 0;  // of them
};

// For any number of threads.
class LowWater {
 public:
  explicit LowWater(const LowWaterMark& start) : mark_(start) {}

  // The rows [first, first + count) are about to be sent; `digest` is that of the last. REQUIRES: in order, without gaps.
  void begin(uint64_t first, uint64_t count, uint64_t digest);
  // REQUIRES: begun, and not settled before.
  void settle(uint64_t row, bool rejected);
  LowWaterMark mark();

 private:
  struct Chunk {
    uint64_t count = 0;
    uint64_t left = 0;
    uint64_t digest = 0;
    uint64_t rejected = 0;
  };

  std::mutex mutex_;
  std::map<uint64_t, Chunk> chunks_;  // by their first rows; those before mark_ are gone
  LowWaterMark mark_;
};

}  // namespace vs::cli
