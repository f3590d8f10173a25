// JSON of replies. Written by appending, not through a document: a search's reply is made some thousand times a second.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

#include "storage/api.h"

namespace vs::daemon {

// Appends "{", members with their commas, and "}" when it goes out of scope.
class JsonObject {
 public:
  explicit JsonObject(std::string& out) : out_(out) { out_ += '{'; }
  ~JsonObject() { out_ += '}'; }
  JsonObject(const JsonObject&) = delete;
  JsonObject& operator=(const JsonObject&) = delete;

  // Appends `"key":`; the caller appends the value. REQUIRES: `key` needs no escapes.
  std::string& key(std::string_view key);

  void text(std::string_view key, std::string_view value);
  void flag(std::string_view key, bool value) { this->key(key) += value ? "true" : "false"; }
  void real(std::string_view key, double value);
  template <std::integral Integer>
  void integer(std::string_view key, Integer value) {
    this->key(key) += std::to_string(value);
  }

 private:
  std::string& out_;
  bool first_ = true;
};

// Calls `append(element)` for each with commas between, in brackets.
template <class Range, class Append>
void append_array(std::string& out, const Range& range, Append append) {
  out += '[';
  bool first = true;
  for (const auto& element : range) {
    if (!first) out += ',';
    first = false;
    append(element);
  }
  out += ']';
}

void append_strings(std::string& out, const std::vector<std::string>& strings);

// The members of a configuration, as CREATE and STATS reply them.
void write_config(JsonObject& object, const storage::CollectionConfig& config);
// Those of a point's parts that `with` names.
void write_point(JsonObject& object, const storage::Point& point, storage::With with);
void append_search_reply(std::string& out, const storage::SearchReply& reply, storage::With with);
void append_scan_reply(std::string& out, const storage::ScanReply& reply, storage::With with);

}  // namespace vs::daemon
