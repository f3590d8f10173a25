// The kernels behind distance.h, each in a file compiled for its instructions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "index/distance.h"

namespace vs {

// GCC 12 leaves out calls of a function that does nothing but prefetch: to it, that is no effect. So each of them is a part of
// its callers.
#define VS_PREFETCHES [[gnu::always_inline]] inline

// `bytes` of memory are going to be read soon: 3; or before long, so that a farther cache is near enough: 2.
template <int kLocality = 3>
VS_PREFETCHES void prefetch(const void* memory, size_t bytes) {
  for (size_t offset = 0; offset < bytes; offset += 64) {
    __builtin_prefetch(static_cast<const std::byte*>(memory) + offset, 0, kLocality);
  }
}

// How many rows are asked for before they are needed: as many bytes as a core can wait for at a time, and of short rows all of
// a list's.
inline size_t rows_ahead(size_t bytes) { return bytes <= 256 ? 64 : std::clamp<size_t>(4096 / bytes, 2, 16); }

// visit(i, row) for the row of each of the slots, `bytes` long, whose memory was asked for before.
template <class RowsOfAKind, class Visit>
void for_each_row(const RowsOfAKind& rows, size_t bytes, std::span<const Slot> slots, Visit visit) {
  const size_t ahead = rows_ahead(bytes);
  for (size_t i = 0; i < std::min(ahead, slots.size()); ++i) prefetch(rows.row(slots[i]), bytes);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (i + ahead < slots.size()) prefetch(rows.row(slots[i + ahead]), bytes);
    visit(i, rows.row(slots[i]));
  }
}

// What code_products() of all kinds do: `Product{}(row, query, bytes)` is of one row. A type, of the file that it is in: an
// instance for a function's type would be shared with files that are compiled for other instructions.
template <class Product>
void each_code_product(const CodeRows& rows, const uint8_t* query, std::span<const Slot> slots, int32_t* products) {
  for_each_row(rows, rows.bytes, slots,
               [&](size_t i, const uint8_t* row) { products[i] = Product{}(row, query, rows.bytes); });
}

namespace kernels_portable {
extern const EncodingKernels encoding;
float l2_squared(const float* a, const float* b, size_t dim);
float dot(const float* a, const float* b, size_t dim);
void code_products(const CodeRows& rows, const uint8_t* query, std::span<const Slot> slots, int32_t* products);
}  // namespace kernels_portable

#if defined(__x86_64__)
// REQUIRES: the processor has AVX2 and FMA.
namespace kernels_avx2 {
extern const EncodingKernels encoding;
float l2_squared(const float* a, const float* b, size_t dim);
float dot(const float* a, const float* b, size_t dim);
void code_products(const CodeRows& rows, const uint8_t* query, std::span<const Slot> slots, int32_t* products);
}  // namespace kernels_avx2

// REQUIRES: the processor has AVX-512 F, BW and VNNI.
namespace kernels_avx512 {
extern const EncodingKernels encoding;
float l2_squared(const float* a, const float* b, size_t dim);
float dot(const float* a, const float* b, size_t dim);
void code_products(const CodeRows& rows, const uint8_t* query, std::span<const Slot> slots, int32_t* products);
}  // namespace kernels_avx512
#endif

}  // namespace vs
