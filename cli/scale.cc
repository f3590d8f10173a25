#include "cli/scale.h"

#include <cmath>

namespace vs::cli {
namespace {

Status bad_scale(std::string_view text) {
  return {Code::kBadArgument,
          "--scale needs a number or a fraction such as 1/255, not zero and finite; got '" + std::string(text) + "'"};
}

std::optional<double> number(std::string_view text) {
  if (text.empty()) return std::nullopt;
  auto value = protocol::read_number({protocol::Value::Kind::kBare, text}, "--scale");
  if (!value.ok() || !std::isfinite(*value) || *value == 0) return std::nullopt;
  return *value;
}

}  // namespace

Result<Scale> parse_scale(std::string_view text) {
  const size_t slash = text.find('/');
  const auto numerator = number(text.substr(0, slash));
  const auto denominator = slash == std::string_view::npos ? 1.0 : number(text.substr(slash + 1));
  if (!numerator || !denominator) return bad_scale(text);
  return Scale{*numerator, *denominator};
}

}  // namespace vs::cli
