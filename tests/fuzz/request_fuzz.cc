// Fuzzes what vsd reads of a request line: splitting it into words, and each reader of values on each of them.
#include <bit>
#include <cmath>
#include <cstring>

#include "daemon/protocol.h"
#include "daemon/text.h"
#include "tests/fuzz/fuzz.h"

namespace vs::fuzz {
namespace {

using namespace protocol;

// What a client gets of an error: one line of UTF-8 that it reads back, and short, however long the request was.
void check_error(const Status& status) {
  VS_CHECK(!status.ok());
  const std::string line = error_line(status);
  VS_CHECK(!has_control_characters(line) && !find_bad_utf8(line) && line.size() < 1000);
  const auto reply = parse_reply(line);
  VS_CHECK(reply.ok() && reply->status.code() == status.code() && error_line(reply->status) == line);
}

template <class Read>
auto parse_and_read(const std::string& word, Read read) {
  const std::string line = "X " + word;
  const auto request = parse_request(line);
  VS_CHECK(request.ok() && request->arguments.size() == 1 && request->options.empty());
  auto result = read(request->arguments[0]);
  VS_CHECK(result.ok());
  return *std::move(result);
}

void check_word(const Value& value) {
  const auto word = read_word(value, "a word");
  if (!word.ok()) return check_error(word.status());
  VS_CHECK(!find_bad_utf8(*word) && word->size() <= value.text.size());
  const auto again = parse_and_read(quote_word(*word), [](const Value& v) { return read_word(v, "a word"); });
  VS_CHECK(again == *word);

  const Status id = validate_id(*word);
  if (!id.ok()) check_error(id);
  if (id.ok()) VS_CHECK(!word->empty() && word->size() <= limits::kIdBytes && !has_control_characters(*word));
  const Status name = validate_collection_name(*word);
  if (!name.ok()) check_error(name);
  // A name becomes a part of messages and of keys as it stands.
  if (name.ok()) VS_CHECK(id.ok() && quote_word(*word) == *word && word->front() != '.');
}

void check_numbers(const Value& value) {
  for (const auto& [min, max] : {std::pair<uint64_t, uint64_t>{1, limits::kKMax}, {0, UINT64_MAX}}) {
    const auto number = read_unsigned(value, "k", min, max);
    if (!number.ok()) check_error(number.status());
    if (number.ok()) VS_CHECK(*number >= min && *number <= max);
  }
  const auto flag = read_bool(value, "exact");
  if (!flag.ok()) check_error(flag.status());

  const auto number = read_number(value, "radius");
  if (!number.ok()) return check_error(number.status());
  VS_CHECK(std::isfinite(*number));
  std::string text;
  append_number(text, *number);
  const double again = parse_and_read(text, [](const Value& v) { return read_number(v, "radius"); });
  VS_CHECK(std::bit_cast<uint64_t>(again) == std::bit_cast<uint64_t>(*number));
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void check_vector(const Value& value) {
  const auto vector = read_vector(value);
  if (!vector.ok()) return check_error(vector.status());
  VS_CHECK(!vector->empty() && vector->size() <= value.text.size() / 2);
  VS_CHECK(same_bits(parse_and_read(encode_vector(*vector), read_vector), *vector));
  const bool finite = std::all_of(vector->begin(), vector->end(), [](float x) { return std::isfinite(x); });
  VS_CHECK(finite || value.kind == Value::Kind::kBare);
  if (!finite) return;
  std::string array;
  append_vector(array, *vector);
  VS_CHECK(same_bits(parse_and_read(array, read_vector), *vector));
}

void check_attributes(const Value& value) {
  const auto attributes = read_attributes(value);
  if (!attributes.ok()) return check_error(attributes.status());
  VS_CHECK(*attributes == value.text && attributes->size() <= limits::kAttributesBytes);
  VS_CHECK(nlohmann::json::parse(*attributes).is_object());
  // They stand in replies as they are.
  const auto reply = parse_reply("OK " + *attributes);
  VS_CHECK(reply.ok() && reply->status.ok());
}

void check_value(const Value& value, std::string_view line) {
  VS_CHECK(lies_within(value.text, line));
  const auto enclosed = [&](char open, std::string_view close) {
    return value.text.size() >= 2 && value.text.front() == open && close.find(value.text.back()) != close.npos;
  };
  if (value.kind == Value::Kind::kString) VS_CHECK(enclosed('"', "\""));
  if (value.kind == Value::Kind::kArray) VS_CHECK(enclosed('[', "]}"));
  if (value.kind == Value::Kind::kObject) VS_CHECK(enclosed('{', "]}"));
  if (value.kind == Value::Kind::kBare) VS_CHECK(value.text.find_first_of(" \t") == std::string_view::npos);
  check_word(value);
  check_numbers(value);
  check_vector(value);
  check_attributes(value);
}

bool same(const Value& a, const Value& b) { return a.kind == b.kind && a.text == b.text; }
bool same_option(const Option& a, const Option& b) { return a.name == b.name && same(a.value, b.value); }

void check_request(const Request& request, std::string_view line) {
  VS_CHECK(!request.verb.empty() && request.options.size() <= limits::kOptions);
  std::string again = request.verb;
  for (const Value& value : request.arguments) {
    check_value(value, line);
    again += " " + std::string(value.text);
  }
  for (const Option& option : request.options) {
    VS_CHECK(!option.name.empty() && lies_within(option.name, line));
    check_value(option.value, line);
    again += "\t" + std::string(option.name) + "=" + std::string(option.value.text);
  }
  const auto parsed = parse_request(again);
  VS_CHECK(parsed.ok() && parsed->verb == request.verb);
  VS_CHECK(std::ranges::equal(parsed->arguments, request.arguments, same));
  VS_CHECK(std::ranges::equal(parsed->options, request.options, same_option));
}

}  // namespace
}  // namespace vs::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs::fuzz;
  const std::string_view text = text_of(data, size);
  const std::string_view line = text.substr(0, text.find('\n'));
  const auto request = vs::protocol::parse_request(line);
  if (request.ok()) {
    check_request(*request, line);
  } else {
    VS_CHECK(request.status().code() == vs::Code::kBadRequest);
    check_error(request.status());
  }
  return 0;
}
