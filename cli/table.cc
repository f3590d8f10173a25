#include "cli/table.h"

#include <algorithm>
#include <cstdio>

#include "daemon/protocol.h"

namespace vs::cli {
namespace {

size_t width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// Values come from whoever wrote the points; a terminal must not obey them.
void replace_control_characters(std::string& text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, '?');
}

}  // namespace

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string fixed(double number, int digits) {
  char buffer[64];
  const int length = std::snprintf(buffer, sizeof buffer, "%.*f", digits, number);
  if (length < 0 || static_cast<size_t>(length) >= sizeof buffer) {
    std::string out;
    protocol::append_number(out, number);
    return out;
  }
  return buffer;
}

void Table::add(std::vector<std::string> row) {
  VS_CHECK(row.size() == columns_.size());
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  std::vector<size_t> widths;
  widths.reserve(columns_.size());
  for (size_t c = 0; c < columns_.size(); ++c) {
    widths.push_back(header_ ? width(columns_[c].name) : 0);
    for (const auto& row : rows_) widths[c] = std::max(widths[c], width(row[c]));
  }
  std::string out;
  const auto append_cell = [&](size_t c, std::string cell) {
    replace_control_characters(cell);
    const std::string padding(widths[c] - width(cell), ' ');
    if (c > 0) out += "  ";
    if (columns_[c].right) out += padding;
    out += cell;
    if (!columns_[c].right && c + 1 < columns_.size()) out += padding;
  };
  if (header_) {
    for (size_t c = 0; c < columns_.size(); ++c) append_cell(c, columns_[c].name);
    out += '\n';
  }
  for (const auto& row : rows_) {
    for (size_t c = 0; c < columns_.size(); ++c) append_cell(c, row[c]);
    out += '\n';
  }
  return out;
}

std::string Table::csv() const {
  std::string out;
  const auto append_cell = [&out](size_t c, const std::string& cell) {
    if (c > 0) out += ',';
    out += csv_cell(cell);
  };
  for (size_t c = 0; c < columns_.size(); ++c) append_cell(c, columns_[c].name);
  out += '\n';
  for (const auto& row : rows_) {
    for (size_t c = 0; c < columns_.size(); ++c) append_cell(c, row[c]);
    out += '\n';
  }
  return out;
}

}  // namespace vs::cli
