// Arrays of numbers in files (IDX, NumPy's NPY, and the fvecs family), read row by row as float32 or as integers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/content.h"
#include "cli/scale.h"

namespace vs::cli {

// Guessing looks at the first bytes, and for the fvecs family, which has no magic number, at the name.
enum class ArrayFormat { kGuess, kIdx, kNpy, kFvecs, kBvecs, kIvecs };

enum class ElementKind : uint8_t { kUnsigned, kSigned, kFloat };

struct Element {
  ElementKind kind = ElementKind::kUnsigned;
  uint8_t bytes = 1;  // 1, 2, 4 or 8; a float has 2, 4 or 8
  bool big_endian = false;
};

// What a file's header says. shape[0] is the slowest index; elements follow in C order from `data_offset` to the end.
struct ArrayHeader {
  Element element;
  std::vector<uint64_t> shape;  // at least one number
  uint64_t data_offset = 0;
  uint64_t row_prefix_bytes = 0;  // before each row, not part of it; then there are two dimensions
};

class Array {
 public:
  // Checks magic number, dimensions and the exact length. Errors name the file: kBadRequest, kIoError, kTooLarge.
  static Result<Array> open(const std::string& path, ArrayFormat format = ArrayFormat::kGuess);
  // Likewise of a content that was opened for `path`, which is for messages and for guessing.
  static Result<Array> open(const std::string& path, Result<Content> content, ArrayFormat format);

  // Leaves out all other rows; the numbers of rows then count those that are left. REQUIRES: they rise and are in range.
  void keep_rows(std::vector<uint64_t> rows);

  const std::string& path() const { return path_; }
  const std::vector<uint64_t>& shape() const { return header_.shape; }
  bool integers() const { return header_.element.kind != ElementKind::kFloat; }
  // An array of one dimension is one row. REQUIRES for both: none; an empty array has no rows.
  uint64_t rows() const { return rows_; }
  uint64_t columns() const { return columns_; }

  // Fills `out` with whole rows from `first` on, each value multiplied by `scale`.
  // REQUIRES: out.size() is a multiple of columns(), rows in range. Safe from several threads. Errors: kIoError, kBadRequest (a row's own
  // number of components, in the fvecs family, is another one).
  Status read_floats(uint64_t first, const Scale& scale, std::span<float> out) const;
  // Likewise for integers; unsigned values above INT64_MAX wrap. REQUIRES: integers(), keep_rows() was not called.
  Status read_integers(uint64_t first, std::span<int64_t> out) const;
  // The whole array in C order. REQUIRES: as before.
  Result<std::vector<int64_t>> all_integers() const;

 private:
  Array(std::string path, Content content, ArrayHeader header);
  // Of rows that lie one behind the other in the file; `first` is its row there.
  Status read_stored(uint64_t first, const Scale& scale, std::span<float> out) const;
  Result<std::vector<uint8_t>> read_bytes(uint64_t first, uint64_t elements) const;

  std::string path_;
  Content content_;
  ArrayHeader header_;
  uint64_t rows_ = 0;
  uint64_t columns_ = 0;
  std::optional<std::vector<uint64_t>> kept_;  // rows of the file; none: all
};

}  // namespace vs::cli
