// An array that grows without moving: readers need no lock, elements keep their addresses.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "index/status.h"

namespace vs {

// One thread at a time calls grow(); any thread reads elements below a size that it learned after that grow() (through
// an acquire load of whatever the writer published).
template <class T>
class ChunkedArray {
 public:
  explicit ChunkedArray(size_t size_max) : chunks_((size_max + kChunk - 1) / kChunk) {}

  // New elements are value-initialized. REQUIRES: size <= size_max.
  void grow(size_t size) {
    VS_CHECK(size <= chunks_.size() * kChunk);
    for (; allocated_ < size; allocated_ += kChunk) chunks_[allocated_ / kChunk] = std::make_unique<T[]>(kChunk);
  }

  T& operator[](size_t i) { return chunks_[i / kChunk][i % kChunk]; }
  const T& operator[](size_t i) const { return chunks_[i / kChunk][i % kChunk]; }

 private:
  static constexpr size_t kChunk = 1u << 16;
  std::vector<std::unique_ptr<T[]>> chunks_;
  size_t allocated_ = 0;
};

}  // namespace vs
