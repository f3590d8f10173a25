#include "index/distance_kernels.h"
#include "index/encode_loops.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <array>
#include <cstring>
#include <utility>

namespace vs::kernels_avx512 {
namespace {

constexpr size_t kWidth = 16;

struct SquaredDifference {
  static __m512 add(__m512 sum, __m512 a, __m512 b) {
    const __m512 difference = _mm512_sub_ps(a, b);
    return _mm512_fmadd_ps(difference, difference, sum);
  }
};

struct Product {
  static __m512 add(__m512 sum, __m512 a, __m512 b) { return _mm512_fmadd_ps(a, b, sum); }
};

template <class Term>
float accumulate(const float* a, const float* b, size_t dim) {
  __m512 sum0 = _mm512_setzero_ps();
  __m512 sum1 = _mm512_setzero_ps();
  __m512 sum2 = _mm512_setzero_ps();
  __m512 sum3 = _mm512_setzero_ps();
  size_t i = 0;
  for (; i + 4 * kWidth <= dim; i += 4 * kWidth) {
    sum0 = Term::add(sum0, _mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i));
    sum1 = Term::add(sum1, _mm512_loadu_ps(a + i + kWidth), _mm512_loadu_ps(b + i + kWidth));
    sum2 = Term::add(sum2, _mm512_loadu_ps(a + i + 2 * kWidth), _mm512_loadu_ps(b + i + 2 * kWidth));
    sum3 = Term::add(sum3, _mm512_loadu_ps(a + i + 3 * kWidth), _mm512_loadu_ps(b + i + 3 * kWidth));
  }
  for (; i + kWidth <= dim; i += kWidth) sum0 = Term::add(sum0, _mm512_loadu_ps(a + i), _mm512_loadu_ps(b + i));
  if (i < dim) {
    const auto mask = static_cast<__mmask16>((1u << (dim - i)) - 1u);
    sum1 = Term::add(sum1, _mm512_maskz_loadu_ps(mask, a + i), _mm512_maskz_loadu_ps(mask, b + i));
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum0, sum1), _mm512_add_ps(sum2, sum3)));
}

// The query as the other factor of a product, of a line that is a row's last without its tail.
__m512i turned(const uint8_t* query) { return _mm512_xor_si512(_mm512_set1_epi8(-128), _mm512_loadu_si512(query)); }
__m512i without_tail(__m512i line) {
  static_assert(CodeRows::kTail == 16, "two words of 64 bits that the mask leaves out");
  return _mm512_maskz_mov_epi64(0b00111111, line);
}

struct RowProduct {
  int32_t operator()(const uint8_t* row, const uint8_t* query, size_t bytes) const {
    __m512i sum0 = _mm512_setzero_si512();
    __m512i sum1 = _mm512_setzero_si512();
    size_t i = 0;
    for (; i + 128 < bytes; i += 128) {
      sum0 = _mm512_dpbusd_epi32(sum0, _mm512_loadu_si512(row + i), turned(query + i));
      sum1 = _mm512_dpbusd_epi32(sum1, _mm512_loadu_si512(row + i + 64), turned(query + i + 64));
    }
    if (i + 64 < bytes) {
      sum0 = _mm512_dpbusd_epi32(sum0, _mm512_loadu_si512(row + i), turned(query + i));
      i += 64;
    }
    sum1 = _mm512_dpbusd_epi32(sum1, _mm512_loadu_si512(row + i), without_tail(turned(query + i)));
    return _mm512_reduce_add_epi32(_mm512_add_epi32(sum0, sum1));
  }
};

// Rows of a number of lines that is known: the query stays in registers. Few instructions a row matter even where memory is
// what is waited for: the more rows a core has in hand at a time, the more of them come at the same time.
template <size_t kLines>
void products_by_lines(const CodeRows& rows, const uint8_t* query, std::span<const Slot> slots, int32_t* products) {
  __m512i lines[kLines];
  for (size_t l = 0; l < kLines; ++l) lines[l] = turned(query + 64 * l);
  lines[kLines - 1] = without_tail(lines[kLines - 1]);
  for_each_row(rows, 64 * kLines, slots, [&](size_t i, const uint8_t* row) {
    __m512i sums[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
#pragma GCC unroll 16
    for (size_t l = 0; l < kLines; ++l) {
      sums[l % 2] = _mm512_dpbusd_epi32(sums[l % 2], _mm512_loadu_si512(row + 64 * l), lines[l]);
    }
    products[i] = _mm512_reduce_add_epi32(_mm512_add_epi32(sums[0], sums[1]));
  });
}

constexpr size_t kLinesMax = 16;

template <size_t... kLines>
constexpr std::array<CodeProductsFunction, sizeof...(kLines)> products_by_lines_of(std::index_sequence<kLines...>) {
  return {products_by_lines<kLines + 1>...};
}

void matrix_products(const CodeMatrix& matrix, const uint8_t* codes, int32_t* products) {
  constexpr size_t kSums = CodeMatrix::kTileColumns / 16;
  const int8_t* next = matrix.tiles;
  for (size_t tile = 0; tile < matrix.tile_count; ++tile) {
    __m512i sums[kSums];
    for (__m512i& sum : sums) sum = _mm512_setzero_si512();
    for (size_t four = 0; four < matrix.fours; ++four, next += 64 * kSums) {
      int32_t word = 0;
      std::memcpy(&word, codes + 4 * four, sizeof word);
      const __m512i q = _mm512_set1_epi32(word);
      for (size_t i = 0; i < kSums; ++i) sums[i] = _mm512_dpbusd_epi32(sums[i], q, _mm512_loadu_si512(next + 64 * i));
    }
    for (size_t i = 0; i < kSums; ++i) {
      _mm512_storeu_si512(products + tile * CodeMatrix::kTileColumns + 16 * i, sums[i]);
    }
  }
}

}  // namespace

float l2_squared(const float* a, const float* b, size_t dim) { return accumulate<SquaredDifference>(a, b, dim); }
float dot(const float* a, const float* b, size_t dim) { return accumulate<Product>(a, b, dim); }

void code_products(const CodeRows& rows, const uint8_t* query, std::span<const Slot> slots, int32_t* products) {
  static constexpr auto kByLines = products_by_lines_of(std::make_index_sequence<kLinesMax>());
  if (rows.bytes > 64 * kLinesMax) return each_code_product<RowProduct>(rows, query, slots, products);
  kByLines[rows.bytes / 64 - 1](rows, query, slots, products);
}

const EncodingKernels encoding = {loop_to_codes, loop_code_sums, loop_less_mean, matrix_products};

}  // namespace vs::kernels_avx512
#endif
