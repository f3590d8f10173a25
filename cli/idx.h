// The header of IDX files, the format of MNIST and its relatives: two zero bytes, a type byte, the number of
// dimensions, then each dimension as a big-endian 32-bit number; the values follow, big-endian as well.
#pragma once

#include <span>

#include "cli/array.h"

namespace vs::cli {

bool looks_like_idx(std::span<const uint8_t> head);
// Errors: kBadRequest.
Result<ArrayHeader> parse_idx_header(std::span<const uint8_t> head);

}  // namespace vs::cli
