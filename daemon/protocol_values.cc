// Reading the values of a request: words, numbers, vectors and attributes.
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <tuple>

#include "daemon/protocol.h"
#include "daemon/text.h"

namespace vs::protocol {
namespace {

constexpr std::string_view kBase64Prefix = "f32:";
static_assert(std::endian::native == std::endian::little, "f32: is little-endian, as are the mapped files");

Status bad_argument(std::string message) { return {Code::kBadArgument, std::move(message)}; }

Status bad_value(std::string_view what, std::string_view expected, const Value& value) {
  return bad_argument(std::string(what) + " must be " + std::string(expected) + ", got " + excerpt(value.text));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// One past the last digit of the run that begins at `position`.
size_t skip_digits(std::string_view text, size_t position) {
  while (position < text.size() && is_digit(text[position])) ++position;
  return position;
}

// Length of the JSON number (RFC 8259) at the front of `text`; 0 if there is none. from_chars alone would also take
// "1.", ".5", "01", "inf" and "nan".
size_t number_length(std::string_view text) {
  size_t position = (!text.empty() && text[0] == '-') ? 1 : 0;
  if (position >= text.size() || !is_digit(text[position])) return 0;
  position = text[position] == '0' ? position + 1 : skip_digits(text, position);
  if (position < text.size() && text[position] == '.') {
    const size_t end = skip_digits(text, position + 1);
    if (end == position + 1) return 0;
    position = end;
  }
  if (position < text.size() && (text[position] == 'e' || text[position] == 'E')) {
    size_t digits = position + 1;
    if (digits < text.size() && (text[digits] == '+' || text[digits] == '-')) ++digits;
    const size_t end = skip_digits(text, digits);
    if (end == digits) return 0;
    position = end;
  }
  return position;
}

float parse_exact(const char* text, float) { return std::strtof(text, nullptr); }
double parse_exact(const char* text, double) { return std::strtod(text, nullptr); }

// The nearest number, an infinity if it is out of range. REQUIRES: `text` is a JSON number.
template <class Number>
Number parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc()) return number;
  // from_chars does not say on which side the number is out of range.
  return parse_exact(std::string(text).c_str(), Number{});
}

// The names that other languages print for what JSON has no number for.
bool names_a_non_number(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  for (const std::string_view name : {"nan", "inf"}) {
    bool same = text.size() >= name.size();
    for (size_t i = 0; same && i < name.size(); ++i) {
      same = std::tolower(static_cast<unsigned char>(text[i])) == name[i];
    }
    if (same) return true;
  }
  return false;
}

void skip_spaces(std::string_view& text) {
  while (!text.empty() && (text[0] == ' ' || text[0] == '\t')) text.remove_prefix(1);
}

std::string component(size_t index) { return "component " + std::to_string(index) + " of the vector"; }

Result<std::vector<float>> read_array(std::string_view text) {
  std::vector<float> vector;
  vector.reserve(text.size() / 8);
  text.remove_prefix(1);
  for (;;) {
    skip_spaces(text);
    if (text.empty() || (vector.empty() && text[0] == ']')) {
      return bad_argument("a vector has at least one number, got an empty array");
    }
    const size_t length = number_length(text);
    if (length == 0) {
      if (names_a_non_number(text)) {
        return Status(Code::kNotFinite, component(vector.size()) + " must be a finite number, got " + excerpt(text));
      }
      return bad_argument(component(vector.size()) + " must be a JSON number, got " + excerpt(text));
    }
    const auto number = parse_number<float>(text.substr(0, length));
    if (!std::isfinite(number)) {
      return Status(Code::kNotFinite, component(vector.size()) +
                                          " must be within float32's range (at most 3.4e38), got " +
                                          excerpt(text.substr(0, length)));
    }
    vector.push_back(number);
    text.remove_prefix(length);
    skip_spaces(text);
    if (text == "]") return vector;
    if (text.empty() || text[0] != ',') {
      return bad_argument("',' or ']' must follow " + component(vector.size() - 1) + ", got " + excerpt(text));
    }
    text.remove_prefix(1);
  }
}

constexpr std::array<bool, 256> make_base64_alphabet() {
  std::array<bool, 256> table{};
  for (const char c : std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")) {
    table[static_cast<unsigned char>(c)] = true;
  }
  return table;
}
constexpr std::array<bool, 256> kBase64Alphabet = make_base64_alphabet();

// REQUIRES: one of the characters is none of base64.
Status not_base64(std::string_view text) {
  size_t i = 0;
  while (i + 1 < text.size() && kBase64Alphabet[static_cast<unsigned char>(text[i])]) ++i;
  return bad_argument("base64 after f32: has A-Z a-z 0-9 + / and '=' at the end, got " + excerpt(text.substr(i, 1)) +
                      " at its byte " + std::to_string(i));
}

Result<std::vector<float>> read_base64(std::string_view text) {
  if (text.empty()) return bad_argument("a vector has at least one number, got an empty f32:");
  if (text.size() % 4 != 0) {
    return bad_argument("base64 after f32: must have a length that is a multiple of 4 ('=' at the end included), got " +
                        std::to_string(text.size()) + " characters");
  }
  const size_t padding = text.ends_with("==") ? 2 : (text.back() == '=' ? 1 : 0);
  const size_t bytes = text.size() / 4 * 3 - padding;
  // EVP_DecodeBlock writes whole groups of three, zeros in the place of the padding.
  std::vector<float> vector((bytes + padding + sizeof(float) - 1) / sizeof(float));
  const int written =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(vector.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  // It would pass over white space around the text, and then write less, and take '=' for a zero.
  if (written < 0 || static_cast<size_t>(written) != bytes + padding ||
      std::memchr(text.data(), '=', text.size() - padding) != nullptr) {
    return not_base64(text.substr(0, text.size() - padding));
  }
  if (bytes % sizeof(float) != 0) {
    return bad_argument("f32: must hold little-endian float32, so a multiple of 4 bytes, got " + std::to_string(bytes));
  }
  vector.resize(bytes / sizeof(float));
  return vector;
}

size_t json_depth(std::string_view text) {
  size_t depth = 0;
  size_t deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return deepest;
}

// Why `text` is no JSON. REQUIRES: it is not.
std::string json_problem(std::string_view text) {
  try {
    std::ignore = nlohmann::json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::parse_error& error) {
    return "a syntax error at its byte " + std::to_string(error.byte == 0 ? 0 : error.byte - 1);
  } catch (const nlohmann::json::exception&) {
    return "a number beyond the range of a double";
  }
  return "malformed text";
}

}  // namespace

Result<std::string> read_word(const Value& value, std::string_view what) {
  if (value.kind == Value::Kind::kBare) return std::string(value.text);
  if (value.kind != Value::Kind::kString) return bad_value(what, "a word or a JSON string", value);
  const std::string_view content = value.text.substr(1, value.text.size() - 2);
  if (content.find_first_of("\\\t") == std::string_view::npos) return std::string(content);
  const auto parsed = nlohmann::json::parse(value.text.begin(), value.text.end(), nullptr, false);
  if (!parsed.is_string()) return bad_value(what, "a valid JSON string", value);
  return parsed.get_ref<const std::string&>();
}

Result<uint64_t> read_unsigned(const Value& value, std::string_view what, uint64_t min, uint64_t max) {
  uint64_t number = 0;
  const char* const begin = value.text.data();
  const char* const end = begin + value.text.size();
  const auto [stop, error] = std::from_chars(begin, end, number);
  if (value.kind != Value::Kind::kBare || error != std::errc() || stop != end || number < min || number > max) {
    return bad_value(what, "an integer from " + std::to_string(min) + " to " + std::to_string(max), value);
  }
  return number;
}

Result<double> read_number(const Value& value, std::string_view what) {
  if (value.kind != Value::Kind::kBare || value.text.empty() || number_length(value.text) != value.text.size()) {
    return bad_value(what, "a finite number", value);
  }
  const auto number = parse_number<double>(value.text);
  if (!std::isfinite(number)) return bad_value(what, "a finite number", value);
  return number;
}

Result<bool> read_bool(const Value& value, std::string_view what) {
  if (value.kind == Value::Kind::kBare && value.text == "true") return true;
  if (value.kind == Value::Kind::kBare && value.text == "false") return false;
  return bad_value(what, "true or false", value);
}

Result<std::vector<float>> read_vector(const Value& value) {
  if (value.kind == Value::Kind::kArray) return read_array(value.text);
  if (value.kind == Value::Kind::kBare && value.text.starts_with(kBase64Prefix)) {
    return read_base64(value.text.substr(kBase64Prefix.size()));
  }
  return bad_value("the vector", "a JSON array of numbers or f32: and base64 of little-endian float32", value);
}

Result<std::string> read_attributes(const Value& value) {
  if (value.kind != Value::Kind::kObject) return bad_value("attributes", "a JSON object such as {\"label\":7}", value);
  if (value.text.size() > limits::kAttributesBytes) {
    return Status(Code::kTooLarge, "attributes must be at most " + std::to_string(limits::kAttributesBytes) +
                                       " bytes, got " + std::to_string(value.text.size()));
  }
  if (json_depth(value.text) > limits::kAttributesDepth) {
    return bad_argument("attributes must be nested at most " + std::to_string(limits::kAttributesDepth) +
                        " deep, got more");
  }
  if (!nlohmann::json::accept(value.text.begin(), value.text.end())) {
    return bad_argument("attributes must be valid JSON, got " + json_problem(value.text) + ": " + excerpt(value.text));
  }
  return std::string(value.text);
}

}  // namespace vs::protocol
