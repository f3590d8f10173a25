#include "cli/row_text.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

namespace vs::cli {

std::optional<float> read_component(std::string_view text, const Scale& scale) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  text = text.substr(0, text.find_last_not_of(' ') + 1);
  if (text.size() > 1 && text.front() == '+' && text[1] != '-') text.remove_prefix(1);
  const auto read = [text](auto& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc::invalid_argument || end != text.data() + text.size()) return false;
    // from_chars does not say on which side a number is out of range.
    if (error == std::errc::result_out_of_range)
      number = static_cast<std::remove_reference_t<decltype(number)>>(std::strtod(std::string(text).c_str(), nullptr));
    return true;
  };
  if (scale.numerator == scale.denominator) {
    // Not by way of a double, which would be rounded twice.
    float number = 0;
    return read(number) ? std::optional(number) : std::nullopt;
  }
  double number = 0;
  return read(number) ? std::optional(scale.apply(number)) : std::nullopt;
}

Status read_vector_text(std::string_view text, const Scale& scale, std::vector<float>& out) {
  using Kind = protocol::Value::Kind;
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  text = text.substr(0, text.find_last_not_of(' ') + 1);
  if (!text.starts_with('[') && !text.starts_with("f32:"))
    return {Code::kBadArgument, "expected a vector as [0.1,0.2] or f32:BASE64, got '" + shortened(text) + "'"};
  VS_ASSIGN_OR_RETURN(out, protocol::read_vector({text.starts_with('[') ? Kind::kArray : Kind::kBare, text}));
  if (scale.numerator != scale.denominator)
    for (float& number : out) number = scale.apply(number);
  return {};
}

Status read_attributes_text(std::string_view text, std::string& out) {
  out = text;
  // Between values these are only space, which the protocol wants on one line; inside a string they are not valid.
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c == '\t' || c == '\n' || c == '\r'; }, ' ');
  out.erase(0, std::min(out.find_first_not_of(' '), out.size()));
  out.erase(out.find_last_not_of(' ') + 1);
  if (out.empty()) return {};
  const auto kind = out.front() == '{' ? protocol::Value::Kind::kObject : protocol::Value::Kind::kBare;
  return protocol::read_attributes({kind, out}).status();
}

Status other_dimension(uint64_t expected, uint64_t got) {
  return {Code::kDimensionMismatch,
          "expected " + std::to_string(expected) + " numbers as in the first row, got " + std::to_string(got)};
}

std::string label_json(std::string_view text) {
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  const bool integer = !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos &&
                       (digits.front() != '0' || text == "0");
  return integer ? std::string(text) : string_json(text);
}

std::string string_json(std::string_view text) {
  std::string out;
  protocol::append_string(out, text);
  return out;
}

bool is_utf8(std::string_view text) {
  constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
  return text.find(kReplacement) != std::string_view::npos || string_json(text).find(kReplacement) == std::string::npos;
}

void append_attribute(std::string& object, std::string_view name, std::string_view json) {
  object += object.empty() ? '{' : ',';
  protocol::append_string(object, name);
  object += ':';
  object += json;
}

std::string shortened(std::string_view text) {
  constexpr size_t kShown = 40;
  if (text.size() <= kShown) return std::string(text);
  size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace vs::cli
