// Splitting a request line into words. Nothing is decoded here: values are views into the line, and only their ends are
// looked for, so that a vector of 784 numbers is passed over once and read once.
#include <algorithm>
#include <cctype>

#include "daemon/protocol.h"
#include "daemon/text.h"

namespace vs::protocol {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t'; }
bool is_name_start(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

Status bad_request(std::string message) { return {Code::kBadRequest, std::move(message)}; }

// Written without branches, so that the compiler makes vector code of it: most lines are plain ASCII.
bool is_plain_ascii(std::string_view line) {
  unsigned odd = 0;
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    odd |= static_cast<unsigned>(byte < 0x20) | static_cast<unsigned>(byte >= 0x80);
  }
  return odd == 0;
}

Status check_text(std::string_view line) {
  if (is_plain_ascii(line)) return {};
  for (size_t i = 0; i < line.size(); ++i) {
    const auto byte = static_cast<unsigned char>(line[i]);
    if (byte < 0x20 && byte != '\t') {
      return bad_request("byte " + std::to_string(i) + " is the control character " + excerpt(line.substr(i, 1)) +
                         "; a request is text, and inside JSON strings control characters are escaped (\\n, \\u0000)");
    }
  }
  if (const auto bad = find_bad_utf8(line)) {
    return bad_request("byte " + std::to_string(*bad) + " is no valid UTF-8; a request is UTF-8 text");
  }
  return {};
}

// One past the quote that ends the JSON string at `begin`; npos if it does not end.
size_t string_end(std::string_view line, size_t begin) {
  for (size_t i = begin + 1; i < line.size(); ++i) {
    if (line[i] == '\\') {
      ++i;
    } else if (line[i] == '"') {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

// Where the first character from `begin` on is for which `ends`, else the line's size. In blocks that the compiler makes
// vector code of, since a vector is thousands of characters.
template <class Ends>
size_t find_end(std::string_view line, size_t begin, Ends ends) {
  constexpr size_t kBlock = 64;
  size_t end = begin;
  for (; line.size() - end >= kBlock; end += kBlock) {
    unsigned found = 0;
    for (size_t i = 0; i < kBlock; ++i) found |= static_cast<unsigned>(ends(line[end + i]));
    if (found != 0) break;
  }
  while (end < line.size() && !ends(line[end])) ++end;
  return end;
}

// One past the bracket that ends the array or object at `begin`; npos if it does not end. The two kinds of brackets are
// counted together: a mix-up is found by whoever reads the value.
size_t bracket_end(std::string_view line, size_t begin) {
  constexpr auto structural = [](char c) {
    return static_cast<unsigned>(c == '"') | static_cast<unsigned>(c == '[') | static_cast<unsigned>(c == ']') |
           static_cast<unsigned>(c == '{') | static_cast<unsigned>(c == '}');
  };
  size_t depth = 0;
  for (size_t i = begin; (i = find_end(line, i, structural)) < line.size();) {
    if (line[i] == '"') {
      i = string_end(line, i);
      if (i == std::string_view::npos) break;
      continue;
    }
    depth += (line[i] == '[' || line[i] == '{') ? size_t{1} : static_cast<size_t>(-1);
    ++i;
    if (depth == 0) return i;
  }
  return std::string_view::npos;
}

class Splitter {
 public:
  explicit Splitter(std::string_view line) : line_(line) {}

  bool skip_spaces() {
    while (position_ < line_.size() && is_space(line_[position_])) ++position_;
    return position_ < line_.size();
  }

  std::string_view take_bare() {
    const size_t begin = position_;
    position_ = find_end(line_, begin, is_space);
    return line_.substr(begin, position_ - begin);
  }

  // "name" if an option begins here, and then the position is behind its '='; else empty.
  std::string_view take_option_name() {
    if (position_ >= line_.size() || !is_name_start(line_[position_])) return {};
    size_t end = position_ + 1;
    while (end < line_.size() && is_name(line_[end])) ++end;
    if (end >= line_.size() || line_[end] != '=') return {};
    const std::string_view name = line_.substr(position_, end - position_);
    position_ = end + 1;
    return name;
  }

  Result<Value> take_value() {
    if (position_ >= line_.size()) return Value{};
    switch (line_[position_]) {
      case '"':
        return take_json(Value::Kind::kString, "string", string_end(line_, position_));
      case '[':
        return take_json(Value::Kind::kArray, "array", bracket_end(line_, position_));
      case '{':
        return take_json(Value::Kind::kObject, "object", bracket_end(line_, position_));
      default:
        return Value{Value::Kind::kBare, take_bare()};
    }
  }

 private:
  Result<Value> take_json(Value::Kind kind, std::string_view kind_name, size_t end) {
    const auto where = [&] {
      return "the JSON " + std::string(kind_name) + " that begins at byte " + std::to_string(position_);
    };
    if (end == std::string_view::npos) return bad_request(where() + " does not end; a request is one line");
    if (end < line_.size() && !is_space(line_[end])) {
      return bad_request("a space is expected after " + where() + ", got " + excerpt(line_.substr(end)));
    }
    const Value value{kind, line_.substr(position_, end - position_)};
    position_ = end;
    return value;
  }

  std::string_view line_;
  size_t position_ = 0;
};

}  // namespace

Result<Request> parse_request(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  VS_RETURN_IF_ERROR(check_text(line));

  Splitter splitter(line);
  if (!splitter.skip_spaces()) return bad_request("a request begins with a verb, got an empty line");
  const std::string_view verb = splitter.take_bare();
  if (!std::all_of(verb.begin(), verb.end(), is_name) || !is_name_start(verb.front())) {
    return bad_request("a request begins with a verb such as PING, got " + excerpt(verb) + "; HELP lists the verbs");
  }
  Request request;
  request.verb = verb;
  for (char& c : request.verb) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));

  while (splitter.skip_spaces()) {
    const std::string_view name = splitter.take_option_name();
    VS_ASSIGN_OR_RETURN(const Value value, splitter.take_value());
    if (name.empty()) {
      request.arguments.push_back(value);
      continue;
    }
    if (request.options.size() == limits::kOptions) {
      return bad_request("a request has at most " + std::to_string(limits::kOptions) + " options, got more");
    }
    for (const Option& other : request.options) {
      if (other.name == name) return bad_request("the option " + excerpt(name) + " is given twice; give it once");
    }
    request.options.push_back({name, value});
  }
  return request;
}

}  // namespace vs::protocol
