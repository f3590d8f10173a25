#include "index/status.h"

#include <array>

namespace vs {
namespace {

constexpr std::array<std::string_view, 19> kNames = {
    "ok",         "bad_request",   "unknown_command", "bad_argument", "not_found", "exists",       "dimension_mismatch",
    "not_finite", "zero_vector",   "too_large",       "limit",        "no_space",  "unauthorized", "busy",
    "read_only",  "shutting_down", "io_error",        "corrupt",      "internal"};
static_assert(kNames.size() == static_cast<size_t>(Code::kInternal) + 1);

}  // namespace

std::string_view code_name(Code code) { return kNames[static_cast<size_t>(code)]; }

std::optional<Code> code_from_name(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Code>(i);
  }
  return std::nullopt;
}

std::string Status::to_string() const {
  if (ok()) return "ok";
  return std::string(code_name(code_)) + ": " + message_;
}

void check_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: VS_CHECK failed: %s\n", file, line, expression);
  std::abort();
}

}  // namespace vs
