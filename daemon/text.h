// Small helpers for messages: showing what a client or user sent, and guessing what was meant.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace vs {

// The first byte that is part of no well-formed UTF-8 sequence (RFC 3629: no overlong forms, no surrogates, at most
// U+10FFFF); nullopt if there is none.
std::optional<size_t> find_bad_utf8(std::string_view text);

// Quoted, cut to about 40 bytes, control characters and bad UTF-8 as \xNN: safe in a reply, a log line or on a
// terminal.
std::string excerpt(std::string_view text);

// The candidate with the smallest edit distance, letters compared without case; empty if none is near enough to be
// meant.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

// "a, b, c"
std::string join(std::span<const std::string_view> words);

}  // namespace vs
