#include "cli/table.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "daemon/protocol.h"

namespace vs::cli {
namespace {

size_t width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

struct CodePoint {
  char32_t code = 0;
  size_t bytes = 0;  // 0: no UTF-8
};

CodePoint decode(std::string_view text) {
  const auto byte = [text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < bytes) return {};
  char32_t code = first & (0xFFu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};  // a shorter form exists below
  if (code < kLeast[bytes] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return {};
  return {code, bytes};
}

// C0, DEL and C1, which some terminals take for the escape sequences they abbreviate; line separators; and what turns
// the direction of writing, so that a line would read as another one.
bool controls(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x061C || (code >= 0x200E && code <= 0x200F) ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) || code == 0xFEFF;
}

}  // namespace

// Values come from whoever wrote the points.
std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint point = decode(text);
    const size_t bytes = std::max<size_t>(point.bytes, 1);
    if (point.bytes == 0 || controls(point.code))
      out += '?';
    else
      out += text.substr(0, bytes);
    text.remove_prefix(bytes);
  }
  return out;
}

std::string ascii(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    const bool continues = (c & 0xC0) == 0x80;
    if (!continues) out += c >= ' ' && c <= '~' ? c : '?';
  }
  return out;
}

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

std::vector<size_t> Table::widths() const {
  std::vector<size_t> widths = least_widths_;
  widths.resize(columns_.size());
  for (size_t c = 0; c < columns_.size(); ++c) {
    if (header_) widths[c] = std::max(widths[c], width(columns_[c].name));
    for (const auto& row : rows_) widths[c] = std::max(widths[c], width(printable(row[c])));
  }
  return widths;
}

std::string Table::text() const {
  const std::vector<size_t> widths = this->widths();
  std::string out;
  const auto append_cell = [&](size_t c, const std::string& text) {
    const std::string cell = printable(text);
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
