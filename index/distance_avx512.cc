#include "index/distance_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

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

int64_t sum_of_lanes(__m512i sum) {
  alignas(64) int32_t lanes[kWidth];
  _mm512_store_si512(lanes, sum);
  int64_t total = 0;
  for (const int32_t lane : lanes) total += lane;
  return total;
}

}  // namespace

float l2_squared(const float* a, const float* b, size_t dim) { return accumulate<SquaredDifference>(a, b, dim); }
float dot(const float* a, const float* b, size_t dim) { return accumulate<Product>(a, b, dim); }

// A lane adds up to 4 * 255^2 for each 64 bytes, far below 2^31. |a-b| fits a byte: half as many are widened as of a
// and b.
int64_t code_l2_squared(const uint8_t* a, const uint8_t* b, size_t bytes, int /*zero*/) {
  const __m512i zeros = _mm512_setzero_si512();
  __m512i sum0 = zeros;
  __m512i sum1 = zeros;
  for (size_t i = 0; i < bytes; i += 64) {
    const __m512i x = _mm512_loadu_si512(a + i);
    const __m512i y = _mm512_loadu_si512(b + i);
    const __m512i difference = _mm512_or_si512(_mm512_subs_epu8(x, y), _mm512_subs_epu8(y, x));
    const __m512i low = _mm512_unpacklo_epi8(difference, zeros);
    const __m512i high = _mm512_unpackhi_epi8(difference, zeros);
    sum0 = _mm512_add_epi32(sum0, _mm512_madd_epi16(low, low));
    sum1 = _mm512_add_epi32(sum1, _mm512_madd_epi16(high, high));
  }
  return sum_of_lanes(_mm512_add_epi32(sum0, sum1));
}

int64_t code_negative_dot(const uint8_t* a, const uint8_t* b, size_t bytes, int zero) {
  const __m512i zeros = _mm512_setzero_si512();
  const __m512i offset = _mm512_set1_epi16(static_cast<int16_t>(zero));
  __m512i sum0 = zeros;
  __m512i sum1 = zeros;
  const auto low = [&](__m512i v) { return _mm512_sub_epi16(_mm512_unpacklo_epi8(v, zeros), offset); };
  const auto high = [&](__m512i v) { return _mm512_sub_epi16(_mm512_unpackhi_epi8(v, zeros), offset); };
  for (size_t i = 0; i < bytes; i += 64) {
    const __m512i x = _mm512_loadu_si512(a + i);
    const __m512i y = _mm512_loadu_si512(b + i);
    sum0 = _mm512_add_epi32(sum0, _mm512_madd_epi16(low(x), low(y)));
    sum1 = _mm512_add_epi32(sum1, _mm512_madd_epi16(high(x), high(y)));
  }
  return -sum_of_lanes(_mm512_add_epi32(sum0, sum1));
}

}  // namespace vs::kernels_avx512
#endif
