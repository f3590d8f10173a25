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

  // Columns two spaces apart, as wide as their widest cell (counted in code points); each line ends with LF. Control
  // characters are replaced by question marks.
  std::string text() const;
  // RFC 4180, with LF; always with the header.
  std::string csv() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
  bool header_;
};

// Quoted where it holds a comma, a quote or a line break.
std::string csv_cell(std::string_view text);
// "%.*f"
std::string fixed(double number, int digits);

}  // namespace vs::cli
