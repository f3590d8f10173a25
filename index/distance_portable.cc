// Plain C++ kernels: what every processor runs, and what the others are tested against.
#include "index/distance_kernels.h"

namespace vs::kernels_portable {
namespace {

// Independent partial sums let the compiler use whatever vector registers the baseline has, without -ffast-math.
constexpr size_t kLanes = 16;

template <class Term>
float sum(const float* a, const float* b, size_t dim, Term term) {
  float lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(a[i + lane], b[i + lane]);
  }
  for (size_t lane = 0; i < dim; ++i, ++lane) lanes[lane] += term(a[i], b[i]);
  for (size_t width = kLanes / 2; width > 0; width /= 2) {
    for (size_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

int32_t product(const uint8_t* row, const uint8_t* query, size_t bytes) {
  int32_t sum = 0;
  for (size_t i = 0; i < bytes - CodeRows::kTail; ++i) sum += int{row[i]} * (int{query[i]} - 128);
  return sum;
}

}  // namespace

float l2_squared(const float* a, const float* b, size_t dim) {
  return sum(a, b, dim, [](float x, float y) { return (x - y) * (x - y); });
}

float dot(const float* a, const float* b, size_t dim) {
  return sum(a, b, dim, [](float x, float y) { return x * y; });
}

void code_products(const CodeRows& rows, const uint8_t* query, std::span<const Slot> slots, int32_t* products) {
  each_code_product(rows, query, slots, products, product);
}

}  // namespace vs::kernels_portable
