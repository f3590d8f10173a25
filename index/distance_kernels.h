// The kernels behind distance.h, each in a file compiled for its instructions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vs {

namespace kernels_portable {
float l2_squared(const float* a, const float* b, size_t dim);
float dot(const float* a, const float* b, size_t dim);
int64_t code_l2_squared(const uint8_t* a, const uint8_t* b, size_t bytes, int zero);
int64_t code_negative_dot(const uint8_t* a, const uint8_t* b, size_t bytes, int zero);
}  // namespace kernels_portable

#if defined(__x86_64__)
// REQUIRES: the processor has AVX2 and FMA.
namespace kernels_avx2 {
float l2_squared(const float* a, const float* b, size_t dim);
float dot(const float* a, const float* b, size_t dim);
int64_t code_l2_squared(const uint8_t* a, const uint8_t* b, size_t bytes, int zero);
int64_t code_negative_dot(const uint8_t* a, const uint8_t* b, size_t bytes, int zero);
}  // namespace kernels_avx2

// REQUIRES: the processor has AVX-512 F and BW.
namespace kernels_avx512 {
float l2_squared(const float* a, const float* b, size_t dim);
float dot(const float* a, const float* b, size_t dim);
int64_t code_l2_squared(const uint8_t* a, const uint8_t* b, size_t bytes, int zero);
int64_t code_negative_dot(const uint8_t* a, const uint8_t* b, size_t bytes, int zero);
}  // namespace kernels_avx512
#endif

}  // namespace vs
