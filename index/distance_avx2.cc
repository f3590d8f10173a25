#include "index/distance_kernels.h"
#include "index/encode_loops.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

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

struct RowProduct {
  int32_t operator()(const uint8_t* row, const uint8_t* query, size_t bytes) const {
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
};

// Half a tile at a time, since there are 16 registers. Two products are added in a lane, and two lanes are a column's.
void matrix_products(const CodeMatrix& matrix, const uint8_t* codes, int32_t* products) {
  constexpr size_t kColumns = CodeMatrix::kTileColumns / 2;
  constexpr size_t kSums = kColumns / 4;
  for (size_t half = 0; half < 2 * matrix.tile_count; ++half) {
    const int8_t* const tile = matrix.tiles + half / 2 * matrix.fours * 8 * kColumns + half % 2 * 4 * kColumns;
    __m256i sums[kSums];
    for (__m256i& sum : sums) sum = _mm256_setzero_si256();
    for (size_t four = 0; four < matrix.fours; ++four) {
      int32_t word = 0;
      std::memcpy(&word, codes + 4 * four, sizeof word);
      const __m256i q = _mm256_cvtepu8_epi16(_mm_set1_epi32(word));
      for (size_t i = 0; i < kSums; ++i) {
        const auto* of_four = reinterpret_cast<const __m128i*>(tile + four * 8 * kColumns + 16 * i);
        sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(_mm256_cvtepi8_epi16(_mm_loadu_si128(of_four)), q));
      }
    }
    for (size_t i = 0; i < kSums; ++i) {
      alignas(32) int32_t lanes[8];
      _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), sums[i]);
      for (size_t c = 0; c < 4; ++c) products[half * kColumns + 4 * i + c] = lanes[2 * c] + lanes[2 * c + 1];
    }
  }
}

}  // namespace

float l2_squared(const float* a, const float* b, size_t dim) { return accumulate<SquaredDifference>(a, b, dim); }
float dot(const float* a, const float* b, size_t dim) { return accumulate<Product>(a, b, dim); }

void code_products(const CodeRows& rows, const uint8_t* query, std::span<const Slot> slots, int32_t* products) {
  each_code_product<RowProduct>(rows, query, slots, products);
}

const EncodingKernels encoding = {loop_to_codes, loop_code_sums, loop_less_mean, matrix_products};

}  // namespace vs::kernels_avx2
#endif
