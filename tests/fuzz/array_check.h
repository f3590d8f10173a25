// What npy_fuzz.cc and idx_fuzz.cc hold the readers of arrays to.
#pragma once

#include <zlib.h>

#include <bit>
#include <optional>
#include <vector>

#include "cli/array.h"
#include "tests/fuzz/fuzz.h"

namespace vs::fuzz {

inline std::string gzip(std::string_view bytes) {
  z_stream stream{};
  constexpr int kGzip = 16;
  VS_CHECK(deflateInit2(&stream, 1, Z_DEFLATED, MAX_WBITS + kGzip, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, static_cast<uLong>(bytes.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  VS_CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// All values as bits, so that NaN equals itself.
inline std::vector<uint32_t> values_of(const cli::Array& array) {
  std::vector<float> values(array.rows() * array.columns());
  VS_CHECK(array.read_floats(0, cli::Scale{1, 255}, values).ok());
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

// Opens a file of these bytes and checks the shape and the values; nullopt if it is refused.
inline std::optional<cli::Array> check_array(std::string_view bytes, cli::ArrayFormat format,
                                             size_t content_bytes_max) {
  const MemoryFile file(bytes);
  auto array = cli::Array::open(file.path(), format);
  if (!array.ok()) {
    VS_CHECK(array.status().code() == Code::kBadRequest || array.status().code() == Code::kTooLarge);
    return std::nullopt;
  }
  // The products of the dimensions, which must not have wrapped around.
  const std::vector<uint64_t>& shape = array->shape();
  uint64_t columns = 1;
  for (size_t i = shape.size() == 1 ? 0 : 1; i < shape.size(); ++i) {
    VS_CHECK(columns == 0 || shape[i] <= UINT64_MAX / columns);
    columns *= shape[i];
  }
  const uint64_t rows = columns == 0 ? 0 : shape.size() == 1 ? 1 : shape[0];
  VS_CHECK(array->columns() == columns && array->rows() == rows);
  VS_CHECK(columns == 0 || rows <= content_bytes_max / columns);
  const uint64_t elements = rows * columns;

  VS_CHECK(values_of(*array).size() == elements);
  if (array->integers()) {
    const auto integers = array->all_integers();
    VS_CHECK(integers.ok() && integers->size() == elements);
  }
  // The last row alone is what it is among all.
  if (array->rows() > 1) {
    std::vector<float> last(array->columns());
    VS_CHECK(array->read_floats(array->rows() - 1, cli::Scale{1, 255}, last).ok());
    const auto all = values_of(*array);
    for (size_t i = 0; i < last.size(); ++i) {
      VS_CHECK(std::bit_cast<uint32_t>(last[i]) == all[all.size() - last.size() + i]);
    }
  }
  return *std::move(array);
}

// Plain and packed, a file is the same array, or is refused both times.
inline void check_plain_and_gzip(std::string_view bytes, cli::ArrayFormat format) {
  constexpr size_t kGzipRatioMax = 1100;
  const auto plain = check_array(bytes, format, kGzipRatioMax * bytes.size());
  if (bytes.starts_with("\x1f\x8b")) return;  // packed already; packed twice is no array
  const auto packed = check_array(gzip(bytes), format, bytes.size());
  VS_CHECK(plain.has_value() == packed.has_value());
  if (plain) VS_CHECK(plain->shape() == packed->shape() && values_of(*plain) == values_of(*packed));
}

}  // namespace vs::fuzz
