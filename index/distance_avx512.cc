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

// Few instructions a row matter even where memory is what is waited for: the more rows a core has in hand at a time, the
// more of them come at the same time.
int32_t product(const uint8_t* row, const uint8_t* query, size_t bytes) {
  const __m512i turn = _mm512_set1_epi8(-128);
  __m512i sum0 = _mm512_setzero_si512();
  __m512i sum1 = _mm512_setzero_si512();
  size_t i = 0;
  const auto add = [&](__m512i sum, size_t at) {
    return _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(row + at),
                               _mm512_xor_si512(turn, _mm512_loadu_si512(query + at)));
  };
  for (; i + 128 < bytes; i += 128) {
    sum0 = add(sum0, i);
    sum1 = add(sum1, i + 64);
  }
  if (i + 64 < bytes) {
    sum0 = add(sum0, i);
    i += 64;
  }
  static_assert(CodeRows::kTail == 16, "two words of 64 bits that the mask leaves out");
  const __m512i last = _mm512_maskz_xor_epi64(0b00111111, turn, _mm512_loadu_si512(query + i));
  sum1 = _mm512_dpbusd_epi32(sum1, _mm512_loadu_si512(row + i), last);
  return _mm512_reduce_add_epi32(_mm512_add_epi32(sum0, sum1));
}

}  // namespace

float l2_squared(const float* a, const float* b, size_t dim) { return accumulate<SquaredDifference>(a, b, dim); }
float dot(const float* a, const float* b, size_t dim) { return accumulate<Product>(a, b, dim); }

void code_products(const CodeRows& rows, const uint8_t* query, std::span<const Slot> slots, int32_t* products) {
  each_code_product(rows, query, slots, products, product);
}

}  // namespace vs::kernels_avx512
#endif
