#include "cli/vecs.h"

#include <cstring>

namespace vs::cli {
namespace {

int32_t components_at(const uint8_t* prefix) {
  int32_t components = 0;
  std::memcpy(&components, prefix, sizeof components);
  return components;
}

}  // namespace

Result<ArrayHeader> parse_vecs_header(std::span<const uint8_t> head, const Element& element, uint64_t file_bytes) {
  if (head.size() < kVecsPrefixBytes)
    return Status{Code::kBadRequest,
                  "expected rows that begin with their number of components, an int32; the file has " +
                      std::to_string(head.size()) + " bytes"};
  const int32_t components = components_at(head.data());
  if (components < 1 || components > static_cast<int32_t>(limits::kDimMax))
    return Status{Code::kBadRequest, "expected 1 to " + std::to_string(limits::kDimMax) +
                                         " components, the first row claims " + std::to_string(components) +
                                         "; is it another format?"};
  const uint64_t row_bytes = kVecsPrefixBytes + static_cast<uint64_t>(components) * element.bytes;
  const uint64_t rows = file_bytes / row_bytes;
  if (const uint64_t left = file_bytes % row_bytes; left != 0)
    return Status{Code::kBadRequest, "rows of " + std::to_string(components) + " components take " +
                                         std::to_string(row_bytes) + " bytes each; after " + std::to_string(rows) +
                                         " rows " + std::to_string(left) +
                                         " bytes are left: the file is truncated or of another format"};
  ArrayHeader header;
  header.element = element;
  header.shape = {rows, static_cast<uint64_t>(components)};
  header.row_prefix_bytes = kVecsPrefixBytes;
  return header;
}

Status check_vecs_prefix(const uint8_t* prefix, uint64_t columns, uint64_t row) {
  const int32_t components = components_at(prefix);
  if (components >= 0 && static_cast<uint64_t>(components) == columns) return {};
  return {Code::kBadRequest, "row " + std::to_string(row) + " claims " + std::to_string(components) +
                                 " components, the first one has " + std::to_string(columns) +
                                 "; all must have the same number: the file is damaged"};
}

}  // namespace vs::cli
