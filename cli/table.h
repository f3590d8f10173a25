// Aligned tables for people and CSV for programs, from the same rows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vs::cli {

class Table {
 public:
  struct Column {
    std::string name;
    bool right = false;  // numbers stand right
  };

  explicit Table(std::vector<Column> columns, bool header = true) : columns_(std::move(columns)), header_(header) {}
  // REQUIRES: as many cells as columns.
  void add(std::vector<std::string> row);

  // Columns two spaces apart, as wide as their widest cell (counted in code points); each line ends with LF. Cells are
  // printable().
  std::string text() const;
  // How wide text() makes the columns; at least as wide as `widths` from now on. For a table that is printed in parts.
  std::vector<size_t> widths() const;
  void widen(std::vector<size_t> widths) { least_widths_ = std::move(widths); }
  // RFC 4180, with LF; always with the header.
  std::string csv() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<size_t> least_widths_;
  bool header_;
};

// Text that a terminal shows and does not obey: characters that control it, reorder a line or are no UTF-8 become
// question marks.
std::string printable(std::string_view text);

// With a question mark for each character that is not printable ASCII; so each that is left has one column.
std::string ascii(std::string_view text);

// Quoted where it holds a comma, a quote or a line break.
std::string csv_cell(std::string_view text);
// "%.*f"
std::string fixed(double number, int digits);

}  // namespace vs::cli
