#include "cli/idx.h"

namespace vs::cli {
namespace {

constexpr size_t kDimensionsMax = 8;

std::optional<Element> element_for(uint8_t type) {
  switch (type) {
    case 0x08:
      return Element{ElementKind::kUnsigned, 1, true};
    case 0x09:
      return Element{ElementKind::kSigned, 1, true};
    case 0x0B:
      return Element{ElementKind::kSigned, 2, true};
    case 0x0C:
      return Element{ElementKind::kSigned, 4, true};
    case 0x0D:
      return Element{ElementKind::kFloat, 4, true};
    case 0x0E:
      return Element{ElementKind::kFloat, 8, true};
    default:
      return std::nullopt;
  }
}

}  // namespace

bool looks_like_idx(std::span<const uint8_t> head) {
  return head.size() >= 4 && head[0] == 0 && head[1] == 0 && element_for(head[2]) && head[3] >= 1 &&
         head[3] <= kDimensionsMax;
}

Result<ArrayHeader> parse_idx_header(std::span<const uint8_t> head) {
  if (!looks_like_idx(head))
    return Status{Code::kBadRequest,
                  "expected an IDX file (it begins with 00 00, a type of 08 to 0E and 1 to 8 dimensions)"};
  ArrayHeader header;
  header.element = *element_for(head[2]);
  const size_t dimensions = head[3];
  header.data_offset = 4 + 4 * dimensions;
  if (head.size() < header.data_offset)
    return Status{Code::kBadRequest, "the IDX header ends before its " + std::to_string(dimensions) +
                                         " dimensions: the file is truncated"};
  for (size_t i = 0; i < dimensions; ++i) {
    uint64_t extent = 0;
    for (size_t byte = 0; byte < 4; ++byte) extent = extent << 8 | head[4 + 4 * i + byte];
    header.shape.push_back(extent);
  }
  return header;
}

}  // namespace vs::cli
