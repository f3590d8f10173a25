// The headers of fvecs, bvecs and ivecs files, the formats of the TEXMEX data sets (SIFT1M and others): every row is its
// number of components as a little-endian int32 and then the components, as float32, unsigned bytes or int32. The number
// is the same in all rows; that of the first is the file's header.
#pragma once

#include <span>

#include "cli/array.h"

namespace vs::cli {

// `head` holds the file's first bytes, `file_bytes` is its length, which must fit. Errors: kBadRequest.
Result<ArrayHeader> parse_vecs_header(std::span<const uint8_t> head, const Element& element, uint64_t file_bytes);
// Checks what stands before a row, kVecsPrefixBytes long. Errors: kBadRequest.
inline constexpr uint64_t kVecsPrefixBytes = 4;
Status check_vecs_prefix(const uint8_t* prefix, uint64_t columns, uint64_t row);

}  // namespace vs::cli
