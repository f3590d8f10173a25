// A graph over heap memory, for tests and benchmarks of the index alone.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <span>
#include <thread>
#include <vector>

#include "index/graph.h"
#include "tests/unit/test_util.h"

namespace vs::test {

// Calls body(first), …, body(last - 1) from `threads` threads.
inline void parallel(uint32_t first, uint32_t last, unsigned threads, const std::function<void(uint32_t)>& body) {
  std::atomic<uint32_t> next{first};
  const auto work = [&] {
    for (uint32_t i = next++; i < last; i = next++) body(i);
  };
  std::vector<std::thread> all;
  for (unsigned i = 1; i < threads; ++i) all.emplace_back(work);
  work();
  for (std::thread& thread : all) thread.join();
}

class HeapGraph {
 public:
  // Room for `slots` vectors of zeros.
  HeapGraph(const GraphConfig& config, uint32_t slots, bool with_codes = false)
      : stride_(config.geometry.vector_stride() / sizeof(float)),
        vectors_(slots * stride_),
        links0_(size_t{slots} * config.geometry.m0()),
        upper_(upper_rows(config.geometry, slots) * config.geometry.m),
        codes_(with_codes ? slots * Codes::stride(config.geometry.dim) : 0),
        graph(config,
              {reinterpret_cast<const std::byte*>(vectors_.data()), links0_.data(), upper_.data(),
               with_codes ? codes_.data() : nullptr},
              slots) {}

  // With seeded vectors.
  HeapGraph(uint32_t dim, uint32_t slots, Metric metric = Metric::kL2, uint32_t m = 8, unsigned seed = 7,
            bool with_codes = false)
      : HeapGraph({{.dim = dim, .m = m, .ml = 1 / std::log(static_cast<double>(m)), .seed = seed}, metric, 100}, slots,
                  with_codes) {
    std::mt19937 random(seed);
    for (uint32_t i = 0; i < slots; ++i) {
      std::vector<float> vector = random_vector(random, dim);
      if (metric == Metric::kCosine) normalize(vector);
      set_vector(i, vector);
    }
  }

  void set_vector(uint32_t slot, std::span<const float> vector) {
    std::copy(vector.begin(), vector.end(), vectors_.begin() + static_cast<ptrdiff_t>(slot * stride_));
  }

  void add(uint32_t first, uint32_t last, unsigned threads = 1) {
    graph.extend(last);
    parallel(first, last, threads, [this](uint32_t i) {
      graph.insert(Slot{i});
      graph.publish(Slot{i});
    });
  }

 private:
  static uint64_t upper_rows(const Geometry& geometry, uint32_t slots) {
    uint64_t rows = 1;
    for (uint32_t i = 0; i < slots; ++i) rows += static_cast<uint64_t>(geometry.level(Slot{i}));
    return rows;
  }

  size_t stride_;
  std::vector<float> vectors_;
  std::vector<uint32_t> links0_;
  std::vector<uint32_t> upper_;
  std::vector<std::byte> codes_;

 public:
  Graph graph;
};

}  // namespace vs::test
