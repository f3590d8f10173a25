// Loops that a compiler turns into whatever vector instructions it may use. For the kernels' files only: in an unnamed
// namespace, so that each has its own, compiled for its instructions. None may be contracted to fused operations: codes are
// kept in files, and have to be the same on every processor.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "index/distance.h"

namespace vs {
namespace {  // NOLINT(google-build-namespaces)

float loop_to_codes(const float* vector, size_t dim, float low, float step, uint8_t* codes) {
  constexpr float kCodeMax = 255;
  const float per_step = 1 / step;
  uint32_t largest_error = 0;  // as bits, which are in the order of the numbers
  for (size_t i = 0; i < dim; ++i) {
    const float steps = std::min(std::max((vector[i] - low) * per_step, 0.0f), kCodeMax);
    // No call of a rounding function. NOLINTNEXTLINE(bugprone-incorrect-roundings): exact enough below 256
    const int code = static_cast<int>(steps + 0.5f);
    const float error = std::fabs(vector[i] - (low + static_cast<float>(code) * step));
    largest_error = std::max(largest_error, std::bit_cast<uint32_t>(error));
    codes[i] = static_cast<uint8_t>(code);
  }
  return std::bit_cast<float>(largest_error);
}

CodeSums loop_code_sums(const uint8_t* codes, size_t dim) {
  CodeSums sums;
  for (size_t i = 0; i < dim;) {
    uint32_t part = 0;
    uint32_t part_squares = 0;
    for (const size_t end = std::min(dim, i + 1024); i < end; ++i) {
      part += codes[i];
      part_squares += uint32_t{codes[i]} * codes[i];
    }
    sums.sum += part;
    sums.squares += part_squares;
  }
  return sums;
}

void loop_less_mean(const uint8_t* codes, const float* mean, size_t dim, float* out) {
  for (size_t i = 0; i < dim; ++i) out[i] = static_cast<float>(codes[i]) - mean[i];
}

}  // namespace
}  // namespace vs
