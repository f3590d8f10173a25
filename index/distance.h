// Distances between float vectors, with kernels chosen for the processor at run time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "index/status.h"
#include "index/types.h"

namespace vs {

enum class Metric : uint8_t { kL2, kCosine, kDot };

std::string_view metric_name(Metric metric);
std::optional<Metric> metric_from_name(std::string_view name);

// Both arguments have `dim` floats; no alignment is needed. Results of two kernels differ only by rounding.
using DistanceFunction = float (*)(const float* a, const float* b, size_t dim);

// Rows of codes, one byte a component: slot s has `bytes` bytes from base + s * stride on. `bytes` is a multiple of 64, at
// most 64 * 1,025.
struct CodeRows {
  const uint8_t* base = nullptr;
  size_t stride = 0;
  size_t bytes = 0;
  static constexpr size_t kTail = 16;  // bytes at a row's end that are not codes

  const uint8_t* row(Slot slot) const { return base + size_t{slot.value} * stride; }
};

// Of each of the slots the sum of row * (query - 128), exactly, over all but the tail. (One instruction of a processor
// takes 64 such products of unsigned and signed bytes.) Asks for the memory of rows before it needs them.
using CodeProductsFunction = void (*)(const CodeRows& rows, const uint8_t* query, std::span<const Slot> slots,
                                      int32_t* products);

// Whole numbers, at most 127 in size, with which sums of products are computed: a column has a row of codes' `dim` of them.
// 64 columns are a tile; a tile holds, for every four of the dim, four bytes a column. What is missing to a whole tile or a
// whole four is 0.
struct CodeMatrix {
  static constexpr size_t kTileColumns = 64;
  const int8_t* tiles = nullptr;
  size_t tile_count = 0;
  size_t fours = 0;  // of dim

  size_t place(size_t column, size_t d) const {
    return ((column / kTileColumns * fours + d / 4) * kTileColumns + column % kTileColumns) * 4 + d % 4;
  }
};

struct CodeSums {
  uint64_t sum = 0;
  uint64_t squares = 0;
};

// What encoding consists of. All kernels give the same results, to the bit.
struct EncodingKernels {
  // The nearest of the 256 values low + step * code, for each component. Returns the largest error.
  float (*to_codes)(const float* vector, size_t dim, float low, float step, uint8_t* codes);
  CodeSums (*code_sums)(const uint8_t* codes, size_t dim);
  // out[d] = codes[d] - mean[d]
  void (*less_mean)(const uint8_t* codes, const float* mean, size_t dim, float* out);
  // products[column] = sum of matrix * codes, of 4 * fours codes.
  void (*code_matrix_products)(const CodeMatrix& matrix, const uint8_t* codes, int32_t* products);
};

struct Kernels {
  std::string_view name;           // "avx512", "avx2" or "portable"
  DistanceFunction l2_squared;     // sum of (a-b)^2
  DistanceFunction negative_dot;   // -sum of a*b
  DistanceFunction one_minus_dot;  // 1 - sum of a*b: the cosine distance of unit vectors
  CodeProductsFunction code_products;
  EncodingKernels encoding;
};

// The fastest kernels that this processor runs. `VSD_KERNELS=portable|avx2|avx512` in the environment asks for others
// (for tests and comparisons); what the processor lacks is not given.
const Kernels& kernels();
// All kernels that this processor runs, the portable ones first.
std::span<const Kernels> available_kernels();

// What the index orders by: the square for l2 (same order, no root), 1 - dot of unit vectors for cosine, -dot for dot.
DistanceFunction index_distance(Metric metric);
// From the value that the index orders by to the one that users see.
float user_distance(Metric metric, float index_value);

// Checks what may be stored or asked: every component finite and, for cosine, a norm that is not zero.
// Errors: kNotFinite (names the first bad component), kZeroVector.
Status validate_vector(Metric metric, std::span<const float> vector);
// Scales to unit length. REQUIRES: validate_vector(kCosine, vector) was ok.
void normalize(std::span<float> vector);

}  // namespace vs
