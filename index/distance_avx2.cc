#include "index/distance_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace vs::kernels_avx2 {
namespace {

constexpr size_t kWidth = 8;

struct SquaredDifference {
  static __m256 add(__m256 sum, __m256 a, __m256 b) {
    const __m256 difference = _mm256_sub_ps(a, b);
    return _mm256_fmadd_ps(difference, difference, sum);
  }
};

struct Product {
  static __m256 add(__m256 sum, __m256 a, __m256 b) { return _mm256_fmadd_ps(a, b, sum); }
};

// Lanes 0..count-1 of the result are loaded, the others are 0 and their memory is not touched.
__m256 load_first(const float* p, size_t count) {
  alignas(32) static constexpr int kMask[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
  return _mm256_maskload_ps(p, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMask + (kWidth - count))));
}

// Four sums, since a fused multiply-add takes four cycles and two start in each.
template <class Term>
float accumulate(const float* a, const float* b, size_t dim) {
  __m256 sum0 = _mm256_setzero_ps();
  __m256 sum1 = _mm256_setzero_ps();
  __m256 sum2 = _mm256_setzero_ps();
  __m256 sum3 = _mm256_setzero_ps();
  size_t i = 0;
  for (; i + 4 * kWidth <= dim; i += 4 * kWidth) {
    sum0 = Term::add(sum0, _mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i));
    sum1 = Term::add(sum1, _mm256_loadu_ps(a + i + kWidth), _mm256_loadu_ps(b + i + kWidth));
    sum2 = Term::add(sum2, _mm256_loadu_ps(a + i + 2 * kWidth), _mm256_loadu_ps(b + i + 2 * kWidth));
    sum3 = Term::add(sum3, _mm256_loadu_ps(a + i + 3 * kWidth), _mm256_loadu_ps(b + i + 3 * kWidth));
  }
  for (; i + kWidth <= dim; i += kWidth) sum0 = Term::add(sum0, _mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i));
  if (i < dim) sum1 = Term::add(sum1, load_first(a + i, dim - i), load_first(b + i, dim - i));

  const __m256 sum = _mm256_add_ps(_mm256_add_ps(sum0, sum1), _mm256_add_ps(sum2, sum3));
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  half = _mm_add_ss(half, _mm_movehdup_ps(half));
  return _mm_cvtss_f32(half);
}

// 16 codes as 16-bit numbers.
__m256i widen(const uint8_t* p) { return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }

// Adds up what `term` makes of the 16 codes from each position, eight sums of 32 bits.
template <class Term>
int64_t code_sum(size_t bytes, Term term) {
  __m256i sum0 = _mm256_setzero_si256();
  __m256i sum1 = _mm256_setzero_si256();
  __m256i sum2 = _mm256_setzero_si256();
  __m256i sum3 = _mm256_setzero_si256();
  for (size_t i = 0; i < bytes; i += 64) {
    sum0 = _mm256_add_epi32(sum0, term(i));
    sum1 = _mm256_add_epi32(sum1, term(i + 16));
    sum2 = _mm256_add_epi32(sum2, term(i + 32));
    sum3 = _mm256_add_epi32(sum3, term(i + 48));
  }
  const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(sum0, sum1), _mm256_add_epi32(sum2, sum3));
  // 64 bits for the whole: 65,536 bytes may come to more than 2^31.
  const __m256i wide = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(sum)),
                                        _mm256_cvtepi32_epi64(_mm256_extracti128_si256(sum, 1)));
  const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  return _mm_extract_epi64(half, 0) + _mm_extract_epi64(half, 1);
}

}  // namespace

float l2_squared(const float* a, const float* b, size_t dim) { return accumulate<SquaredDifference>(a, b, dim); }
float dot(const float* a, const float* b, size_t dim) { return accumulate<Product>(a, b, dim); }

// A lane of the four sums together adds up to 8 * 255^2 for each 64 bytes: for 65,536 bytes it stays below 2^31.
int64_t code_l2_squared(const uint8_t* a, const uint8_t* b, size_t bytes, int /*zero*/) {
  return code_sum(bytes, [=](size_t i) {
    const __m256i difference = _mm256_sub_epi16(widen(a + i), widen(b + i));
    return _mm256_madd_epi16(difference, difference);
  });
}

int64_t code_negative_dot(const uint8_t* a, const uint8_t* b, size_t bytes, int zero) {
  const __m256i offset = _mm256_set1_epi16(static_cast<int16_t>(zero));
  return -code_sum(bytes, [=](size_t i) {
    return _mm256_madd_epi16(_mm256_sub_epi16(widen(a + i), offset), _mm256_sub_epi16(widen(b + i), offset));
  });
}

}  // namespace vs::kernels_avx2
#endif
