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

// Of 16 codes, two products a lane.
__m256i products(const uint8_t* row, const uint8_t* query) {
  const auto load = [](const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); };
  const __m128i turned = _mm_xor_si128(load(query), _mm_set1_epi8(-128));
  return _mm256_madd_epi16(_mm256_cvtepu8_epi16(load(row)), _mm256_cvtepi8_epi16(turned));
}

int32_t product(const uint8_t* row, const uint8_t* query, size_t bytes) {
  __m256i sum0 = _mm256_setzero_si256();
  __m256i sum1 = _mm256_setzero_si256();
  size_t i = 0;
  for (; i + 32 <= bytes - CodeRows::kTail; i += 32) {
    sum0 = _mm256_add_epi32(sum0, products(row + i, query + i));
    sum1 = _mm256_add_epi32(sum1, products(row + i + 16, query + i + 16));
  }
  // A row without its tail is an odd number of 16 bytes.
  sum0 = _mm256_add_epi32(sum0, products(row + i, query + i));
  const __m256i sum = _mm256_add_epi32(sum0, sum1);
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0b01001110));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0b10110001));
  return _mm_cvtsi128_si32(half);
}

}  // namespace

float l2_squared(const float* a, const float* b, size_t dim) { return accumulate<SquaredDifference>(a, b, dim); }
float dot(const float* a, const float* b, size_t dim) { return accumulate<Product>(a, b, dim); }

void code_products(const CodeRows& rows, const uint8_t* query, std::span<const Slot> slots, int32_t* products) {
  each_code_product(rows, query, slots, products, product);
}

}  // namespace vs::kernels_avx2
#endif
