// NumPy's NPY format: "\x93NUMPY", a version, the length of a header, the header (a Python dictionary that names type,
// order and shape), then the values.
#pragma once

#include <span>

#include "cli/array.h"
#include "cli/file.h"

namespace vs::cli {

// Longer headers belong to structured arrays, which are no vectors.
inline constexpr size_t kNpyHeaderBytesMax = 64u << 10;

bool looks_like_npy(std::span<const uint8_t> head);
// Versions 1 to 3, C order, integers and floats of any byte order. Errors: kBadRequest.
Result<ArrayHeader> parse_npy_header(std::span<const uint8_t> head);
// What a header says, the type as NumPy writes it ("<f4", "<U12"), also of what is no array of numbers.
struct NpyDescription {
  std::string descr;
  std::vector<uint64_t> shape;
};
Result<NpyDescription> describe_npy(std::span<const uint8_t> head);
// All strings of a file's array of unicode of fixed width ('<U12', one dimension), as UTF-8. Errors: kBadRequest.
Result<std::vector<std::string>> parse_npy_strings(std::string_view file);

// Writes an array whose number of rows is known only at the end.
class NpyWriter {
 public:
  // `descr` as NumPy writes it ("<f4"); `columns` 0 makes an array of one dimension. Errors: kIoError.
  static Result<NpyWriter> create(const std::string& path, std::string descr, uint64_t columns);

  // Little-endian values of whole rows. Errors: kIoError.
  Status append(const void* values, size_t bytes) { return file_.write(values, bytes); }
  // Puts the header in place, syncs the file and gives it its name. Errors: kIoError.
  Status finish(uint64_t rows);

 private:
  NpyWriter(OutputFile file, std::string descr, uint64_t columns);
  std::string header(uint64_t rows) const;

  OutputFile file_;
  std::string descr_;
  uint64_t columns_;
};

}  // namespace vs::cli
