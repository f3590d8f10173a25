#include "cli/json_cursor.h"

#include <charconv>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

namespace vs::cli {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

}  // namespace

void JsonCursor::skip_spaces() {
  while (position_ < text_.size() && std::string_view(" \t\r\n").find(text_[position_]) != std::string_view::npos)
    ++position_;
}

bool JsonCursor::fail() {
  failed_ = true;
  return false;
}

bool JsonCursor::take(char expected) {
  if (failed_) return false;
  skip_spaces();
  if (position_ == text_.size() || text_[position_] != expected) return fail();
  ++position_;
  return true;
}

size_t JsonCursor::position() {
  skip_spaces();
  return position_;
}

bool JsonCursor::at_end() { return !failed_ && position() == text_.size(); }

bool JsonCursor::open(char bracket) {
  fresh_ = true;
  return take(bracket);
}

bool JsonCursor::more(char closing_bracket) {
  if (failed_) return false;
  const bool first = std::exchange(fresh_, false);
  if (position() < text_.size() && text_[position_] == closing_bracket) {
    ++position_;
    return false;
  }
  return first || take(',');
}

bool JsonCursor::name(std::string& name) { return string(name) && take(':'); }

bool JsonCursor::string(std::string& out) {
  if (failed_) return false;
  const size_t begin = position();
  if (!skip_string()) return false;
  const std::string_view quoted = since(begin);
  if (quoted.find('\\') == std::string_view::npos) {
    out = quoted.substr(1, quoted.size() - 2);
    return true;
  }
  const auto parsed = nlohmann::json::parse(quoted, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_string()) return fail();  // half of a surrogate pair
  out = parsed.get<std::string>();
  return true;
}

bool JsonCursor::number(float& out) {
  const std::string_view text = value();
  if (failed_) return false;
  if (text == "null") {
    out = std::numeric_limits<float>::infinity();
    return true;
  }
  if (text.front() != '-' && !is_digit(text.front())) return fail();
  // from_chars does not say on which side a number is out of range.
  if (std::from_chars(text.data(), text.data() + text.size(), out).ec != std::errc())
    out = std::strtof(std::string(text).c_str(), nullptr);
  return true;
}

bool JsonCursor::skip_string() {
  if (!take('"')) return false;
  while (position_ < text_.size()) {
    const char c = text_[position_++];
    if (c == '"') return true;
    if (static_cast<unsigned char>(c) < ' ') return fail();
    if (c != '\\') continue;
    if (position_ == text_.size()) break;
    const char escaped = text_[position_++];
    if (std::string_view("\"\\/bfnrtu").find(escaped) == std::string_view::npos) return fail();
    for (int i = 0; escaped == 'u' && i < 4; ++i)
      if (position_ == text_.size() || !is_hex(text_[position_++])) return fail();
  }
  return fail();
}

bool JsonCursor::skip_number() {
  const auto digits = [this] {
    const size_t begin = position_;
    while (position_ < text_.size() && is_digit(text_[position_])) ++position_;
    return position_ > begin;
  };
  const auto next_is = [this](std::string_view characters) {
    const bool is = position_ < text_.size() && characters.find(text_[position_]) != std::string_view::npos;
    if (is) ++position_;
    return is;
  };
  next_is("-");
  if (!next_is("0") && !digits()) return fail();
  if (next_is(".") && !digits()) return fail();
  if (next_is("eE")) {
    next_is("+-");
    if (!digits()) return fail();
  }
  return true;
}

bool JsonCursor::skip_scalar() {
  if (position() == text_.size()) return fail();
  const char c = text_[position_];
  if (c == '"') return skip_string();
  if (c == '-' || is_digit(c)) return skip_number();
  for (const std::string_view word : {"true", "false", "null"}) {
    if (text_.substr(position_, word.size()) != word) continue;
    position_ += word.size();
    return true;
  }
  return fail();
}

std::string_view JsonCursor::value() {
  if (failed_) return {};
  const size_t begin = position();
  std::string closing;  // the brackets that are still to come, innermost last
  do {
    const char c = position() < text_.size() ? text_[position_] : '\0';
    if (c == '{' || c == '[') {
      open(c);
      closing += c == '{' ? '}' : ']';
    } else {
      skip_scalar();
      fresh_ = false;
    }
    while (!closing.empty() && !more(closing.back())) {
      if (failed_) return {};
      closing.pop_back();
    }
    if (!closing.empty() && closing.back() == '}' && !(skip_string() && take(':'))) return {};
  } while (!closing.empty() && !failed_);
  return failed_ ? std::string_view() : since(begin);
}

bool is_json_object(std::string_view text) {
  JsonCursor cursor(text);
  return text.substr(cursor.position(), 1) == "{" && !cursor.value().empty() && cursor.at_end();
}

}  // namespace vs::cli
