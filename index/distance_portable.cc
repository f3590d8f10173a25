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

// Over 64 bytes at a time, whose sum 32 bits hold, so that the compiler can use its vector registers.
template <class Term>
int64_t code_sum(const uint8_t* a, const uint8_t* b, size_t bytes, Term term) {
  int64_t sum = 0;
  for (size_t i = 0; i < bytes; i += 64) {
    int32_t part = 0;
    for (size_t j = i; j < i + 64; ++j) part += term(a[j], b[j]);
    sum += part;
  }
  return sum;
}

}  // namespace

float l2_squared(const float* a, const float* b, size_t dim) {
  return sum(a, b, dim, [](float x, float y) { return (x - y) * (x - y); });
}

float dot(const float* a, const float* b, size_t dim) {
  return sum(a, b, dim, [](float x, float y) { return x * y; });
}

int64_t code_l2_squared(const uint8_t* a, const uint8_t* b, size_t bytes, int /*zero*/) {
  return code_sum(a, b, bytes, [](int x, int y) { return (x - y) * (x - y); });
}

int64_t code_negative_dot(const uint8_t* a, const uint8_t* b, size_t bytes, int zero) {
  return -code_sum(a, b, bytes, [zero](int x, int y) { return (x - zero) * (y - zero); });
}

}  // namespace vs::kernels_portable
