// Writing: numbers, vectors and strings of both ends, error lines; and the client's reading of a reply.
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "daemon/protocol.h"
#include "daemon/text.h"

namespace vs::protocol {
namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

template <class Number>
void append_shortest(std::string& out, Number number) {
  if (!std::isfinite(number)) {
    out += "null";  // JSON has no infinity; a distance overflows when components are near float32's limit
    return;
  }
  if (number == 0) {
    out += std::signbit(number) ? "-0.0" : "0";  // "-0" would be read as an integer, which has no sign to keep
    return;
  }
  std::array<char, 64> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr;
  out.append(buffer.data(), end);
}

bool begins_like_an_option(std::string_view text) {
  if (std::isalpha(static_cast<unsigned char>(text.front())) == 0 && text.front() != '_') return false;
  const auto end = std::find_if(text.begin(), text.end(),
                                [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_'; });
  return end != text.end() && *end == '=';
}

}  // namespace

void append_number(std::string& out, float number) { append_shortest(out, number); }
void append_number(std::string& out, double number) { append_shortest(out, number); }

void append_vector(std::string& out, std::span<const float> vector) {
  out += '[';
  for (size_t i = 0; i < vector.size(); ++i) {
    if (i > 0) out += ',';
    append_number(out, vector[i]);
  }
  out += ']';
}

std::string encode_vector(std::span<const float> vector) {
  const auto bytes = std::as_bytes(vector);
  std::string out = "f32:";
  const size_t prefix = out.size();
  // EVP_EncodeBlock ends its text with a NUL.
  out.resize(prefix + (bytes.size() + 2) / 3 * 4 + 1);
  const int written =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data() + prefix),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(prefix + static_cast<size_t>(written));
  return out;
}

void append_string(std::string& out, std::string_view text) {
  const bool plain =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7F && c != '"' && c != '\\'; });
  if (plain) {
    out += '"';
    out += text;
    out += '"';
    return;
  }
  out += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string quote_word(std::string_view text) {
  const bool bare = !text.empty() && text.find_first_of("\"[{") != 0 && !begins_like_an_option(text) &&
                    std::none_of(text.begin(), text.end(), [](char c) { return c == ' ' || is_control(c); }) &&
                    !find_bad_utf8(text);
  if (bare) return std::string(text);
  std::string out;
  append_string(out, text);
  return out;
}

Status validate_id(std::string_view id) {
  if (id.empty()) return {Code::kBadArgument, "an id has at least one byte, got an empty one"};
  if (id.size() > limits::kIdBytes) {
    return {Code::kTooLarge, "an id must be at most " + std::to_string(limits::kIdBytes) + " bytes, got " +
                                 std::to_string(id.size()) + ": " + excerpt(id)};
  }
  if (std::any_of(id.begin(), id.end(), is_control)) {
    return {Code::kBadArgument, "an id must have no control characters, got " + excerpt(id)};
  }
  if (find_bad_utf8(id)) return {Code::kBadArgument, "an id must be UTF-8, got " + excerpt(id)};
  return {};
}

Status validate_collection_name(std::string_view name) {
  const bool valid = !name.empty() && name.size() <= limits::kCollectionNameBytes && name.front() != '.' &&
                     std::all_of(name.begin(), name.end(), [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                              c == '.' || c == '-';
                     });
  if (valid) return {};
  return {Code::kBadArgument, "a collection name must have 1 to " + std::to_string(limits::kCollectionNameBytes) +
                                  " characters of A-Z a-z 0-9 _ . - and not begin with a dot, got " + excerpt(name)};
}

std::string error_line(const Status& status) {
  std::string line = "ERR ";
  line += code_name(status.code());
  line += ' ';
  for (const char c : status.message()) line += is_control(c) ? ' ' : c;
  while (const auto bad = find_bad_utf8(line)) line[*bad] = '?';
  return line;
}

Result<Reply> parse_reply(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line == "OK") return Reply{};
  if (line.starts_with("OK {") && line.ends_with('}')) return Reply{Status(), line.substr(3)};
  if (line.starts_with("ERR ")) {
    const std::string_view rest = line.substr(4);
    const std::string_view name = rest.substr(0, rest.find(' '));
    const std::string_view message = name.size() < rest.size() ? rest.substr(name.size() + 1) : std::string_view();
    const auto code = code_from_name(name);
    if (code && *code != Code::kOk) return Reply{Status(*code, std::string(message)), {}};
    // A later server may have more codes than this client knows.
    if (!name.empty()) return Reply{Status(Code::kInternal, std::string(rest)), {}};
  }
  return Status(Code::kBadRequest,
                "a reply is OK [{…}] or ERR code message, got " + excerpt(line) + "; is that a vsd at the other end?");
}

}  // namespace vs::protocol
