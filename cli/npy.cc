#include "cli/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace vs::cli {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
// Room for the longest header of two dimensions, and a multiple of 64 as the format asks.
constexpr size_t kWrittenHeaderBytes = 128;

Status bad(const std::string& what) { return {Code::kBadRequest, "NPY header: " + what}; }

// Reads the few kinds of Python literals that stand in a header.
class Literal {
 public:
  explicit Literal(std::string_view text) : text_(text) {}

  bool take(char expected) {
    skip_space();
    if (text_.empty() || text_.front() != expected) return false;
    text_.remove_prefix(1);
    return true;
  }
  std::optional<std::string> string() {
    skip_space();
    if (text_.empty() || (text_.front() != '\'' && text_.front() != '"')) return std::nullopt;
    const size_t end = text_.find(text_.front(), 1);
    if (end == std::string_view::npos) return std::nullopt;
    std::string out(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return out;
  }
  std::optional<bool> boolean() {
    skip_space();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}}) {
      if (text_.substr(0, word.size()) != word) continue;
      text_.remove_prefix(word.size());
      return value;
    }
    return std::nullopt;
  }
  std::optional<std::vector<uint64_t>> tuple() {
    if (!take('(')) return std::nullopt;
    std::vector<uint64_t> out;
    while (!take(')')) {
      skip_space();
      uint64_t number = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), number);
      if (error != std::errc()) return std::nullopt;
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      out.push_back(number);
      if (!take(',')) {
        if (!take(')')) return std::nullopt;
        break;
      }
    }
    return out;
  }

 private:
  void skip_space() { text_.remove_prefix(std::min(text_.find_first_not_of(" \t\r\n"), text_.size())); }
  std::string_view text_;
};

std::optional<Element> element_for(std::string_view descr) {
  if (descr.size() != 3) return std::nullopt;
  Element element;
  element.big_endian = descr[0] == '>';
  if (std::string_view("<>|=").find(descr[0]) == std::string_view::npos) return std::nullopt;
  element.bytes = static_cast<uint8_t>(descr[2] - '0');
  const bool integer = element.bytes == 1 || element.bytes == 2 || element.bytes == 4 || element.bytes == 8;
  switch (descr[1]) {
    case 'u':
      element.kind = ElementKind::kUnsigned;
      break;
    case 'i':
      element.kind = ElementKind::kSigned;
      break;
    case 'f':
      element.kind = ElementKind::kFloat;
      if (element.bytes == 1) return std::nullopt;
      break;
    default:
      return std::nullopt;
  }
  if (!integer) return std::nullopt;
  return element;
}

Status parse_dictionary(std::string_view text, ArrayHeader& header) {
  Literal literal(text);
  bool has_descr = false;
  bool has_order = false;
  if (!literal.take('{')) return bad("expected a Python dictionary");
  while (!literal.take('}')) {
    const auto key = literal.string();
    if (!key || !literal.take(':')) return bad("expected 'key': value pairs");
    if (*key == "descr") {
      const auto descr = literal.string();
      const auto element = descr ? element_for(*descr) : std::nullopt;
      if (!element)
        return bad("expected integers or floats of 1 to 8 bytes, such as '<f4'; got " +
                   (descr ? "'" + *descr + "'" : "a structured type") + "; convert with array.astype('<f4')");
      header.element = *element;
      has_descr = true;
    } else if (*key == "fortran_order") {
      const auto fortran = literal.boolean();
      if (!fortran) return bad("'fortran_order' is neither True nor False");
      if (*fortran) return bad("expected C order, got Fortran order; save numpy.ascontiguousarray(array)");
      has_order = true;
    } else if (*key == "shape") {
      auto shape = literal.tuple();
      if (!shape) return bad("'shape' is no tuple of numbers");
      if (shape->empty()) return bad("expected an array of rows, got a single number");
      header.shape = *std::move(shape);
    } else {
      return bad("unknown key '" + *key + "'");
    }
    if (!literal.take(',')) {
      if (!literal.take('}')) return bad("expected ',' or '}'");
      break;
    }
  }
  if (!has_descr || !has_order || header.shape.empty()) return bad("descr, fortran_order or shape is missing");
  return {};
}

}  // namespace

bool looks_like_npy(std::span<const uint8_t> head) {
  return head.size() >= kMagic.size() && std::memcmp(head.data(), kMagic.data(), kMagic.size()) == 0;
}

Result<ArrayHeader> parse_npy_header(std::span<const uint8_t> head) {
  if (!looks_like_npy(head)) return Status{Code::kBadRequest, "expected an NPY file (it begins with \\x93NUMPY)"};
  const size_t length_bytes = head.size() > 6 && head[6] == 1 ? 2 : 4;
  const size_t text_offset = 8 + length_bytes;
  if (head.size() < text_offset) return bad("the file is truncated");
  if (head[6] < 1 || head[6] > 3) return bad("expected version 1, 2 or 3, got " + std::to_string(head[6]));
  size_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) length |= static_cast<size_t>(head[8 + i]) << (8 * i);
  if (length > kNpyHeaderBytesMax - text_offset)
    return bad("expected at most " + std::to_string(kNpyHeaderBytesMax) + " bytes, it claims " +
               std::to_string(length));
  if (head.size() < text_offset + length) return bad("the file is truncated");

  ArrayHeader header;
  header.data_offset = text_offset + length;
  const std::string text(head.begin() + static_cast<ptrdiff_t>(text_offset),
                         head.begin() + static_cast<ptrdiff_t>(header.data_offset));
  VS_RETURN_IF_ERROR(parse_dictionary(text, header));
  return header;
}

NpyWriter::NpyWriter(OutputFile file, std::string descr, uint64_t columns)
    : file_(std::move(file)), descr_(std::move(descr)), columns_(columns) {}

std::string NpyWriter::header(uint64_t rows) const {
  std::string text = "{'descr': '" + descr_ + "', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ",";
  if (columns_ > 0) {
    text += ' ';
    text += std::to_string(columns_);
  }
  text += "), }";
  constexpr size_t kPrefixBytes = 10;
  text.resize(kWrittenHeaderBytes - kPrefixBytes - 1, ' ');
  text += '\n';
  std::string out(kMagic);
  out += {'\x01', '\x00', static_cast<char>(text.size()), '\x00'};
  return out + text;
}

Result<NpyWriter> NpyWriter::create(const std::string& path, std::string descr, uint64_t columns) {
  VS_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path));
  NpyWriter writer(std::move(file), std::move(descr), columns);
  const std::string header = writer.header(0);
  VS_RETURN_IF_ERROR(writer.append(header.data(), header.size()));
  return writer;
}

Status NpyWriter::finish(uint64_t rows) {
  VS_RETURN_IF_ERROR(file_.write_at(0, header(rows)));
  return file_.commit();
}

}  // namespace vs::cli
