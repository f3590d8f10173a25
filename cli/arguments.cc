#include "cli/arguments.h"

#include <algorithm>
#include <charconv>

namespace vs::cli {
namespace {

// No file name or id that anybody types begins with it; one that does is hidden, too, and comes out as it was.
constexpr char kHidden = '\x01';

std::string reveal(std::string text) {
  if (!text.empty() && text.front() == kHidden) text.erase(0, 1);
  return text;
}

// Decimal digits without leading zeros.
std::optional<uint64_t> whole(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool leading_zero = text.size() > 1 && text.front() == '0';
  if (error != std::errc() || end != text.data() + text.size() || leading_zero) return std::nullopt;
  return number;
}

}  // namespace

std::vector<std::string> hide_brackets(int argc, const char* const* argv) {
  std::vector<std::string> out;
  for (int i = argc - 1; i > 0; --i) {
    std::string& argument = out.emplace_back(argv[i]);
    if (!argument.empty() && (argument.front() == '[' || argument.front() == kHidden)) argument.insert(0, 1, kHidden);
  }
  return out;
}

void reveal_brackets(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) option->transform(reveal);
  for (CLI::App* command : app.get_subcommands({})) reveal_brackets(*command);
}

std::string reveal_brackets_in(std::string message) {
  message.erase(std::remove(message.begin(), message.end(), kHidden), message.end());
  return message;
}

CLI::Validator whole_number(uint64_t min, uint64_t max) {
  std::string range = "from " + std::to_string(min) + " to " + std::to_string(max);
  if (max == UINT64_MAX) range = min == 0 ? "" : "from " + std::to_string(min);
  const auto check = [min, max, range](const std::string& text) -> std::string {
    if (const auto number = whole(text); number && *number >= min && *number <= max) return {};
    return "expected a whole number " + range + (range.empty() ? "" : " ") +
           "in decimal digits without leading zeros; got '" + text + "'";
  };
  return {check, range};
}

Result<std::vector<uint64_t>> number_list(const std::string& text, size_t most) {
  std::vector<uint64_t> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    begin = end + 1;
    const size_t dash = word.find('-');
    const auto first = whole(word.substr(0, dash));
    const auto last = dash == std::string::npos ? first : whole(word.substr(dash + 1));
    if (!first || !last || *last < *first)
      return Status{Code::kBadArgument,
                    "expected whole numbers or ranges such as 0,5,7-9 in decimal digits without leading zeros; got '" +
                        word + "'"};
    if (*last - *first >= most - out.size())
      return Status{Code::kBadArgument,
                    "expected at most " + std::to_string(most) + " numbers; '" + text + "' has more"};
    for (uint64_t number = *first;; ++number) {
      out.push_back(number);
      if (number == *last) break;
    }
  }
  return out;
}

CLI::Validator finite_number(bool above_zero) {
  const auto check = [above_zero](const std::string& text) -> std::string {
    const auto number = protocol::read_number({protocol::Value::Kind::kBare, text}, "the value");
    if (number.ok() && (!above_zero || *number > 0)) return {};
    return std::string("expected a finite number") + (above_zero ? " above 0" : "") + " such as 0.5; got '" + text +
           "'";
  };
  return {check, above_zero ? "above 0" : ""};
}

}  // namespace vs::cli
