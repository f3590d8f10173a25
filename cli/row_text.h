// Parts of rows that are written as text, for CSV, JSON Lines and files of labels.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/scale.h"

namespace vs::cli {

// A row of the most dimensions, each number written with many digits, and the largest attributes; with that much a quote
// that does not end is noticed before it has taken the memory.
inline constexpr size_t kTextRowBytesMax = 8u << 20;

// A decimal number, spaces around it allowed; also NaN and infinity, which are no components of a point but numbers.
std::optional<float> read_component(std::string_view text, const Scale& scale);
// "[0.1,0.2]" or "f32:BASE64". Errors: kBadArgument, kNotFinite.
Status read_vector_text(std::string_view text, const Scale& scale, std::vector<float>& out);
// Checks a JSON object and puts it on one line; empty text is none. Errors: kBadArgument, kTooLarge.
Status read_attributes_text(std::string_view text, std::string& out);
Status other_dimension(uint64_t expected, uint64_t got);

// The text of a label as a JSON value: a number if it is an integer as JSON writes it (007 is none), else a string.
std::string label_json(std::string_view text);
std::string string_json(std::string_view text);
// Whether string_json() keeps every byte: it replaces what is no UTF-8.
bool is_utf8(std::string_view text);
// Attributes of nothing but a label.
inline std::string label_attributes(const std::string& json) { return "{\"label\":" + json + "}"; }
// Appends a member to an object's text that has no closing brace yet; empty text is begun.
void append_attribute(std::string& object, std::string_view name, std::string_view json);

// For messages: the beginning of what may be long.
std::string shortened(std::string_view text);

}  // namespace vs::cli
