// The line protocol, both ends of it: splitting a request line into words, reading and writing vectors, ids and
// replies. A library of its own (vs_protocol), linked by vsd and vsctl; docs/protocol.md is the text for users.
//
//   request := VERB [argument | key=value]...
//   reply   := "OK" [SP json-object] | "ERR" SP code SP message
//
// A word is an option when it begins with a name ([A-Za-z_][A-Za-z0-9_]*) and '='; so `f32:AAAA=` is an argument, and
// an id with a '=' in it has to be quoted.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "index/limits.h"
#include "index/status.h"

namespace vs::protocol {

// One argument or option value: a bare word, or JSON text of one of the three kinds that may stand there.
struct Value {
  enum class Kind { kBare, kString, kArray, kObject };
  Kind kind = Kind::kBare;
  std::string_view text;  // as it stands in the line, quotes and brackets included
};

struct Option {
  std::string_view name;  // as sent
  Value value;
};

// Views into the line that was parsed, which must outlive it.
struct Request {
  std::string verb;  // in upper case
  std::vector<Value> arguments;
  std::vector<Option> options;  // no name twice
};

// REQUIRES: `line` has no LF; a trailing CR is ignored. Bad UTF-8, NUL and other control characters, an unterminated
// JSON value and a repeated option are kBadRequest. An empty line is kBadRequest, too: callers skip those before.
Result<Request> parse_request(std::string_view line);

// A bare word, or the content of a JSON string. Errors: kBadArgument (an array or object came; `what` names the
// argument).
Result<std::string> read_word(const Value& value, std::string_view what);
Result<uint64_t> read_unsigned(const Value& value, std::string_view what, uint64_t min, uint64_t max);
Result<double> read_number(const Value& value, std::string_view what);
Result<bool> read_bool(const Value& value, std::string_view what);

// "f32:" + base64 of little-endian float32, or a JSON array of numbers. Finite or not is the caller's to check, except
// that a number beyond float32's range, NaN and Infinity in an array are kNotFinite here. Anything else malformed:
// kBadArgument.
Result<std::vector<float>> read_vector(const Value& value);
// The object's text, checked to be valid JSON. Errors: kBadArgument, kTooLarge (limits::kAttributesBytes).
Result<std::string> read_attributes(const Value& value);

// Shortest text that reads back as the same number.
void append_number(std::string& out, float number);
void append_number(std::string& out, double number);
// "[0.5,1,…]"
void append_vector(std::string& out, std::span<const float> vector);
// "f32:…", the form that clients send: exact, and shorter than an array.
std::string encode_vector(std::span<const float> vector);
// A JSON string with quotes; bytes that are no UTF-8 are replaced.
void append_string(std::string& out, std::string_view text);
// A word that parse_request reads back as `text`: bare where that is possible, else a JSON string.
std::string quote_word(std::string_view text);

// 1 to limits::kIdBytes bytes of UTF-8 without control characters.
Status validate_id(std::string_view id);
// [A-Za-z0-9_.-]{1,64}, not starting with a dot.
Status validate_collection_name(std::string_view name);

// "ERR code message" without LF; control characters in the message are replaced, so that it stays one line.
std::string error_line(const Status& status);

// JSON whose non-integers are float32: text in shortest form reads back bit for bit.
using FloatJson = nlohmann::basic_json<std::map, std::vector, std::string, bool, int64_t, uint64_t, float>;

// A reply line as a client sees it.
struct Reply {
  Status status;          // not ok for an ERR line, with its code and message
  std::string_view json;  // the object's text, empty if none; a view into the line
};
// Errors (of parsing, not the reply's own): kBadRequest when the line is neither form.
Result<Reply> parse_reply(std::string_view line);

}  // namespace vs::protocol
