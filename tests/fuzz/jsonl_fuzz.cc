// Fuzzes the reader of JSON Lines: a row that it takes is one that a plain JSON parser finds in the same line.
#include <nlohmann/json.hpp>

#include "cli/json_cursor.h"
#include "cli/jsonl.h"
#include "tests/fuzz/fuzz.h"

namespace vs::fuzz {
namespace {

using nlohmann::json;

void check_row(std::string_view line) {
  cli::Row row;
  cli::parse_json_row(line, cli::Scale{}, row);
  if (!row.fault.ok()) {
    VS_CHECK(!row.fault.message().empty());
    return;
  }
  VS_CHECK(!row.vector.empty());
  VS_CHECK(row.attributes.empty() || cli::is_json_object(row.attributes));
  VS_CHECK(row.attributes.find_first_of("\t\r\n") == std::string::npos);
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  // The plain parser knows what the daemon will refuse: text that is no UTF-8, numbers beyond a double.
  if (!object.is_object()) return;
  VS_CHECK(object.contains("vector"));
  if (object["vector"].is_array()) VS_CHECK(object["vector"].size() == row.vector.size());
  if (object.contains("id") && object["id"].is_string()) VS_CHECK(object["id"].get<std::string>() == row.id);
  if (!object.contains("id") || object["id"].is_null()) VS_CHECK(row.id.empty());
  const bool attributes = object.contains("attributes") && object["attributes"].is_object();
  VS_CHECK(attributes == !row.attributes.empty());
  if (attributes) VS_CHECK(json::parse(row.attributes, nullptr, false) == object["attributes"]);
}

void check_file(std::string_view text) {
  const MemoryFile file(text);
  auto stream = cli::InputStream::open(file.path());
  VS_CHECK(stream.ok());
  const auto rows = cli::open_jsonl(*std::move(stream), {});
  if (!rows.ok()) return;
  uint64_t line = 0;
  for (cli::Row row;;) {
    const auto more = (*rows)->next(row);
    VS_CHECK(more.ok());
    if (!*more) break;
    VS_CHECK(row.line > line && (line > 0 || row.fault.ok()));
    line = row.line;
    if (row.fault.ok()) VS_CHECK(row.vector.size() == (*rows)->columns());
  }
  const auto lines = static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  VS_CHECK(line > 0 && line <= lines);
}

}  // namespace
}  // namespace vs::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs;
  const std::string_view text = fuzz::text_of(data, size);
  // Deeper than the plain parser's stack; the protocol takes 64 levels.
  if (std::count_if(text.begin(), text.end(), [](char c) { return c == '[' || c == '{'; }) > 500) return 0;
  if (text.starts_with("\x1f\x8b")) return 0;
  fuzz::check_row(text.substr(0, text.find('\n')));
  fuzz::check_file(text);
  return 0;
}
