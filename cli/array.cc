#include "cli/array.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "cli/idx.h"
#include "cli/npy.h"
#include "cli/vecs.h"

namespace vs::cli {
namespace {

static_assert(std::endian::native == std::endian::little, "values are copied as they lie in little-endian files");

Status named(const std::string& path, const Status& status) { return {status.code(), path + ": " + status.message()}; }

template <class T>
T load(const uint8_t* bytes, bool big_endian) {
  std::array<uint8_t, sizeof(T)> copy;
  std::memcpy(copy.data(), bytes, sizeof(T));
  if (big_endian) std::reverse(copy.begin(), copy.end());
  return std::bit_cast<T>(copy);
}

double half_to_double(uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1f;
  const double fraction = bits & 0x3ff;
  double value = 0;
  if (exponent == 0x1f) {
    value = fraction == 0 ? INFINITY : NAN;
  } else if (exponent == 0) {
    value = std::ldexp(fraction, -24);
  } else {
    value = std::ldexp(1024 + fraction, exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

// Calls `visit` with a function that gives the number at some bytes: the type is chosen once, not for every value.
template <class Visit>
void with_loader(const Element& element, Visit visit) {
  const bool big = element.big_endian;
  if (element.kind == ElementKind::kFloat) {
    switch (element.bytes) {
      case 2:
        return visit([big](const uint8_t* at) { return half_to_double(load<uint16_t>(at, big)); });
      case 4:
        return visit([big](const uint8_t* at) { return load<float>(at, big); });
      default:
        return visit([big](const uint8_t* at) { return load<double>(at, big); });
    }
  }
  const bool is_signed = element.kind == ElementKind::kSigned;
  switch (element.bytes) {
    case 1:
      if (is_signed) return visit([](const uint8_t* at) { return (*at ^ 0x80) - 0x80; });
      return visit([](const uint8_t* at) { return *at; });
    case 2:
      if (is_signed) return visit([big](const uint8_t* at) { return load<int16_t>(at, big); });
      return visit([big](const uint8_t* at) { return load<uint16_t>(at, big); });
    case 4:
      if (is_signed) return visit([big](const uint8_t* at) { return load<int32_t>(at, big); });
      return visit([big](const uint8_t* at) { return load<uint32_t>(at, big); });
    default:
      if (is_signed) return visit([big](const uint8_t* at) { return load<int64_t>(at, big); });
      return visit([big](const uint8_t* at) { return load<uint64_t>(at, big); });
  }
}

ArrayFormat guess(const std::string& path, std::span<const uint8_t> head) {
  if (looks_like_npy(head)) return ArrayFormat::kNpy;
  if (looks_like_idx(head)) return ArrayFormat::kIdx;
  const std::string_view name = std::string_view(path).substr(0, path.size() - (path.ends_with(".gz") ? 3 : 0));
  if (name.ends_with(".fvecs")) return ArrayFormat::kFvecs;
  if (name.ends_with(".bvecs")) return ArrayFormat::kBvecs;
  if (name.ends_with(".ivecs")) return ArrayFormat::kIvecs;
  return ArrayFormat::kGuess;
}

Result<ArrayHeader> parse_header(Content& content, std::span<const uint8_t> head, ArrayFormat format) {
  const auto vecs = [&](const Element& element) -> Result<ArrayHeader> {
    VS_ASSIGN_OR_RETURN(const uint64_t bytes, content.size());
    return parse_vecs_header(head, element, bytes);
  };
  switch (format) {
    case ArrayFormat::kIdx:
      return parse_idx_header(head);
    case ArrayFormat::kNpy:
      return parse_npy_header(head);
    case ArrayFormat::kFvecs:
      return vecs({ElementKind::kFloat, 4});
    case ArrayFormat::kBvecs:
      return vecs({ElementKind::kUnsigned, 1});
    case ArrayFormat::kIvecs:
      return vecs({ElementKind::kSigned, 4});
    case ArrayFormat::kGuess:
      break;
  }
  return Status{Code::kBadRequest,
                "expected an IDX or NPY file, plain or gzip, or one that is named .fvecs, .bvecs or "
                ".ivecs; its first bytes are neither IDX nor NPY"};
}

}  // namespace

Array::Array(std::string path, Content content, ArrayHeader header)
    : path_(std::move(path)), content_(std::move(content)), header_(std::move(header)) {
  rows_ = header_.shape.size() == 1 ? 1 : header_.shape[0];
  columns_ = 1;
  for (size_t i = header_.shape.size() == 1 ? 0 : 1; i < header_.shape.size(); ++i) columns_ *= header_.shape[i];
  if (columns_ == 0) rows_ = 0;
}

Result<Array> Array::open(const std::string& path, ArrayFormat format) {
  return open(path, Content::open(path), format);
}

Result<Array> Array::open(const std::string& path, Result<Content> content, ArrayFormat format) {
  if (!content.ok()) return named(path, content.status());
  auto head = content->head(kNpyHeaderBytesMax);
  if (!head.ok()) return named(path, head.status());
  auto header = parse_header(*content, *head, format == ArrayFormat::kGuess ? guess(path, *head) : format);
  if (!header.ok()) return named(path, header.status());
  uint64_t bytes = header->element.bytes;
  bool overflow = false;
  bool empty = false;
  for (uint64_t extent : header->shape) {
    // Dimensions behind a zero are multiplied, too: columns() is their product without it.
    overflow |= __builtin_mul_overflow(bytes, std::max<uint64_t>(extent, 1), &bytes);
    empty |= extent == 0;
  }
  if (empty) bytes = 0;
  overflow |= __builtin_add_overflow(bytes, header->data_offset, &bytes);
  if (overflow) return named(path, {Code::kTooLarge, "the header's dimensions multiply to more than 2^64 bytes"});
  bytes += header->row_prefix_bytes * header->shape.front();
  if (Status status = content->expect(bytes); !status.ok()) return named(path, status);
  return Array(path, *std::move(content), *std::move(header));
}

Result<std::vector<uint8_t>> Array::read_bytes(uint64_t first, uint64_t elements) const {
  const uint64_t row_bytes = columns_ * header_.element.bytes;
  const uint64_t stride = header_.row_prefix_bytes + row_bytes;
  const uint64_t rows = columns_ == 0 ? 0 : elements / columns_;
  std::vector<uint8_t> bytes(rows * stride);
  if (Status status = content_.read(header_.data_offset + first * stride, bytes); !status.ok())
    return named(path_, status);
  if (header_.row_prefix_bytes == 0) return bytes;
  for (uint64_t row = 0; row < rows; ++row) {
    const uint8_t* const at = bytes.data() + row * stride;
    if (Status status = check_vecs_prefix(at, columns_, first + row); !status.ok()) return named(path_, status);
    std::memmove(bytes.data() + row * row_bytes, at + header_.row_prefix_bytes, row_bytes);
  }
  bytes.resize(rows * row_bytes);
  return bytes;
}

void Array::keep_rows(std::vector<uint64_t> rows) {
  rows_ = rows.size();
  kept_ = std::move(rows);
}

Status Array::read_floats(uint64_t first, const Scale& scale, std::span<float> out) const {
  if (!kept_) return read_stored(first, scale, out);
  while (!out.empty()) {
    const uint64_t begin = (*kept_)[first];
    uint64_t count = 1;
    while (count * columns_ < out.size() && (*kept_)[first + count] == begin + count) ++count;
    VS_RETURN_IF_ERROR(read_stored(begin, scale, out.first(count * columns_)));
    out = out.subspan(count * columns_);
    first += count;
  }
  return {};
}

Status Array::read_stored(uint64_t first, const Scale& scale, std::span<float> out) const {
  VS_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, read_bytes(first, out.size()));
  const Element& element = header_.element;
  if (element.kind == ElementKind::kUnsigned && element.bytes == 1) {
    // Pixels are the usual case, and a division for each of them would cost more than all the rest.
    std::array<float, 256> table;
    for (size_t value = 0; value < table.size(); ++value) table[value] = scale.apply(static_cast<double>(value));
    for (size_t i = 0; i < out.size(); ++i) out[i] = table[bytes[i]];
    return {};
  }
  with_loader(element, [&](auto load_at) {
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = scale.apply(static_cast<double>(load_at(bytes.data() + i * element.bytes)));
  });
  return {};
}

Status Array::read_integers(uint64_t first, std::span<int64_t> out) const {
  VS_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, read_bytes(first, out.size()));
  with_loader(header_.element, [&](auto load_at) {
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<int64_t>(load_at(bytes.data() + i * header_.element.bytes));
  });
  return {};
}

Result<std::vector<int64_t>> Array::all_integers() const {
  std::vector<int64_t> out(rows_ * columns_);
  VS_RETURN_IF_ERROR(read_integers(0, out));
  return out;
}

}  // namespace vs::cli
