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
    case 'b':  // truth values, 0 and 1
      if (element.bytes != 1) return std::nullopt;
      [[fallthrough]];
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

struct Header : NpyDescription {
  size_t data_offset = 0;
};

Status parse_dictionary(std::string_view text, Header& header) {
  Literal literal(text);
  bool has_order = false;
  if (!literal.take('{')) return bad("expected a Python dictionary");
  while (!literal.take('}')) {
    const auto key = literal.string();
    if (!key || !literal.take(':')) return bad("expected 'key': value pairs");
    if (*key == "descr") {
      auto descr = literal.string();
      if (!descr) return bad("expected values of one type, such as '<f4'; got a structured type");
      header.descr = *std::move(descr);
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
  if (header.descr.empty() || !has_order || header.shape.empty())
    return bad("descr, fortran_order or shape is missing");
  return {};
}

Result<Header> parse_header(std::span<const uint8_t> head) {
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

  Header header;
  header.data_offset = text_offset + length;
  const std::string text(head.begin() + static_cast<ptrdiff_t>(text_offset),
                         head.begin() + static_cast<ptrdiff_t>(header.data_offset));
  VS_RETURN_IF_ERROR(parse_dictionary(text, header));
  return header;
}

// Appends a code point as UTF-8; false if it is none.
bool append_utf8(std::string& out, uint32_t code) {
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) return false;
  const auto tail = [&out, code](unsigned shift) { out += static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
  return true;
}

}  // namespace

bool looks_like_npy(std::span<const uint8_t> head) {
  return head.size() >= kMagic.size() && std::memcmp(head.data(), kMagic.data(), kMagic.size()) == 0;
}

Result<ArrayHeader> parse_npy_header(std::span<const uint8_t> head) {
  VS_ASSIGN_OR_RETURN(Header header, parse_header(head));
  const auto element = element_for(header.descr);
  if (!element)
    return bad("expected integers or floats of 1 to 8 bytes, such as '<f4'; got '" + header.descr +
               "'; convert with array.astype('<f4')");
  return ArrayHeader{*element, std::move(header.shape), header.data_offset};
}

Result<NpyDescription> describe_npy(std::span<const uint8_t> head) {
  VS_ASSIGN_OR_RETURN(Header header, parse_header(head));
  return NpyDescription(std::move(header));
}

Result<std::vector<std::string>> parse_npy_strings(std::string_view file) {
  const std::span bytes(reinterpret_cast<const uint8_t*>(file.data()), file.size());
  VS_ASSIGN_OR_RETURN(const Header header, parse_header(bytes.first(std::min(bytes.size(), kNpyHeaderBytesMax))));
  uint64_t width = 0;
  const char* const digits_end = header.descr.data() + header.descr.size();
  if (header.shape.size() != 1 || header.descr.substr(0, 2) != "<U" ||
      std::from_chars(header.descr.data() + 2, digits_end, width).ptr != digits_end || width == 0)
    return bad("expected one dimension of strings, such as '<U12'; got " + std::to_string(header.shape.size()) +
               " dimensions of '" + header.descr + "'; convert with numpy.array(ids, dtype='U')");
  const uint64_t rows = header.shape.front();
  const uint64_t data_bytes = file.size() - header.data_offset;
  uint64_t expected = 0;
  if (__builtin_mul_overflow(rows, width, &expected) || __builtin_mul_overflow(expected, 4u, &expected) ||
      expected != data_bytes)
    return Status{Code::kBadRequest, "the header promises " + std::to_string(rows) + " strings of " +
                                         std::to_string(width) + " characters of 4 bytes, but " +
                                         std::to_string(data_bytes) + " bytes follow: the file is damaged"};
  std::vector<std::string> out(rows);
  const char* at = file.data() + header.data_offset;
  for (uint64_t row = 0; row < rows; ++row) {
    size_t end = 0;  // of the text; NUL characters fill up the rest
    for (uint64_t i = 0; i < width; ++i, at += 4) {
      uint32_t code = 0;
      std::memcpy(&code, at, sizeof code);
      if (!append_utf8(out[row], code))
        return Status{Code::kBadRequest, "row " + std::to_string(row) + " holds what is no character"};
      if (code != 0) end = out[row].size();
    }
    out[row].resize(end);
  }
  return out;
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
