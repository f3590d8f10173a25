// Plain C++ kernels: what every processor runs, and what the others are tested against.
#include <algorithm>

#include "index/distance_kernels.h"
#include "index/encode_loops.h"

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

struct RowProduct {
  int32_t operator()(const uint8_t* row, const uint8_t* query, size_t bytes) const {
    int32_t sum = 0;
    for (size_t i = 0; i < bytes - CodeRows::kTail; ++i) sum += int{row[i]} * (int{query[i]} - 128);
    return sum;
  }
};

void matrix_products(const CodeMatrix& matrix, const uint8_t* codes, int32_t* products) {
  constexpr size_t kColumns = CodeMatrix::kTileColumns;
  const int8_t* next = matrix.tiles;
  for (size_t tile = 0; tile < matrix.tile_count; ++tile) {
    int32_t* const sums = products + tile * kColumns;
    std::fill_n(sums, kColumns, 0);
    for (size_t four = 0; four < matrix.fours; ++four, next += 4 * kColumns) {
      const uint8_t* const q = codes + 4 * four;
      for (size_t c = 0; c < kColumns; ++c) {
        sums[c] += next[4 * c] * q[0] + next[4 * c + 1] * q[1] + next[4 * c + 2] * q[2] + next[4 * c + 3] * q[3];
      }
    }
  }
}

}  // namespace

float l2_squared(const float* a, const float* b, size_t dim) {
  return sum(a, b, dim, [](float x, float y) { return (x - y) * (x - y); });
}

float dot(const float* a, const float* b, size_t dim) {
  return sum(a, b, dim, [](float x, float y) { return x * y; });
}

void code_products(const CodeRows& rows, const uint8_t* query, std::span<const Slot> slots, int32_t* products) {
  each_code_product<RowProduct>(rows, query, slots, products);
}

const EncodingKernels encoding = {loop_to_codes, loop_code_sums, loop_less_mean, matrix_products};

}  // namespace vs::kernels_portable
