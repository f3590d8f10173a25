// Fuzzes what vsctl reads of the JSON in replies: lists of points, tables of fields, labels. Points are read by a cursor
// that leaves texts as they are; here it is held to what a plain JSON parser makes of the same text.
#include <cmath>
#include <tuple>

#include "cli/context.h"
#include "cli/json_cursor.h"
#include "cli/points.h"
#include "daemon/text.h"
#include "tests/fuzz/fuzz.h"

namespace vs::fuzz {
namespace {

using cli::PointData;
using cli::PointText;
using nlohmann::json;

// vsd's replies are nested some 70 deep at most; comparing what is deeper would take the stack, not find more.
bool is_deep(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return c == '[' || c == '{'; }) > 500;
}

struct Document {
  json value;             // discarded if `text` is no JSON
  bool excused = false;   // the plain parser refuses it for a reason that the cursor does not know
  bool repeated = false;  // an object has a name twice; which one counts is each parser's own
};

Document parse_plainly(std::string_view text) {
  Document document;
  // The plain parser takes a NUL for the end of the text.
  document.excused = text.find('\0') != std::string_view::npos;
  std::vector<std::vector<std::string>> names;
  const auto visit = [&](int, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) names.emplace_back();
    if (event == json::parse_event_t::object_end) names.pop_back();
    if (event == json::parse_event_t::key) {
      auto& here = names.back();
      const auto& name = value.get_ref<const std::string&>();
      document.repeated |= std::find(here.begin(), here.end(), name) != here.end();
      here.push_back(name);
    }
    return true;
  };
  try {
    document.value = json::parse(text, visit);
  } catch (const json::out_of_range&) {
    document.excused = true;
  } catch (const json::parse_error& error) {
    const std::string_view why = error.what();
    for (const std::string_view reason :
         {"ill-formed UTF-8", "surrogate", "U+D800", "U+DC00", "byte order mark", "BOM"})
      document.excused |= why.find(reason) != std::string_view::npos;
  }
  if (document.excused) document.value = json(json::value_t::discarded);
  return document;
}

json parse(std::string_view text) { return json::parse(text, nullptr, /*allow_exceptions=*/false); }

void check_point(const PointData& point, const json& expected, bool with_vector) {
  VS_CHECK(expected.is_object());
  const auto member = [&](const char* name) { return expected.value(name, json()); };
  VS_CHECK(point.id == (expected.contains("id") ? member("id").get<std::string>() : ""));
  VS_CHECK(expected.contains("attributes") ? parse(point.attributes) == member("attributes")
                                           : point.attributes.empty());
  const auto same = [](float got, const json& number) {
    if (number.is_null()) return std::isinf(got);
    // A double that was rounded from the text may lie exactly between two floats, and then rounds another way.
    const double wanted = number.get<double>();
    return static_cast<double>(got) == wanted || std::abs(got - wanted) <= std::abs(wanted) * 1e-7 + 1e-44 ||
           std::abs(wanted) > 3.4e38;
  };
  if (expected.contains("distance")) VS_CHECK(same(point.distance, expected["distance"]));
  const json vector = member("vector");
  VS_CHECK(point.vector.size() == (vector.is_array() ? vector.size() : 0));
  for (size_t i = 0; i < point.vector.size(); ++i) VS_CHECK(same(point.vector[i], vector[i]));
  VS_CHECK(json(point.links) == (expected.contains("links") ? expected["links"] : json::array()));

  json text = expected;
  if (!with_vector) text.erase("vector");
  VS_CHECK(parse(point.text) == text);
}

void check_points(std::string_view text, const Document& document) {
  const auto whole = cli::parse_points(text, PointText::kWhole);
  const auto without_vector = cli::parse_points(text, PointText::kWithoutVector);
  const auto plain = cli::parse_points(text);
  VS_CHECK(whole.ok() == plain.ok() && whole.ok() == without_vector.ok());
  if (!whole.ok()) {
    VS_CHECK(whole.status().code() == Code::kBadRequest);
    return;
  }
  for (const PointData& point : plain->points) VS_CHECK(point.text.empty() && point.attributes.size() <= text.size());
  if (document.excused) return;
  const json& value = document.value;
  VS_CHECK(value.is_object());
  if (document.repeated) return;
  const char* const name = value.contains("matches") ? "matches" : "points";
  const json& list = value[name];
  VS_CHECK(list.is_array() && list.size() == whole->points.size() && list.size() == without_vector->points.size());
  for (size_t i = 0; i < list.size(); ++i) {
    check_point(whole->points[i], list[i], true);
    check_point(without_vector->points[i], list[i], false);
  }
  json others = value;
  others.erase(name);
  VS_CHECK(parse(whole->rest) == others);
}

void check_label(std::string_view text, const Document& document) {
  const std::string label = cli::label_of(text);
  VS_CHECK(label.size() <= text.size());
  if (document.excused || document.repeated) return;
  if (!document.value.is_object() || !document.value.contains("label")) {
    VS_CHECK(label.empty());
    return;
  }
  const json& expected = document.value["label"];
  VS_CHECK(expected.is_string() ? label == expected.get_ref<const std::string&>() : parse(label) == expected);
}

void check_table(std::string_view text) {
  const auto object = cli::parse_json(text);
  const std::string table = cli::fields_table(object, /*short_numbers=*/true).text();
  VS_CHECK(object.is_object() || table.empty());
  for (const char c : table) VS_CHECK(c == '\n' || !has_control_characters({&c, 1}));
}

}  // namespace
}  // namespace vs::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs;
  const std::string_view text = fuzz::text_of(data, size);
  if (fuzz::is_deep(text)) {
    // Not more than that it ends well.
    std::ignore = cli::parse_points(text, cli::PointText::kWhole);
    std::ignore = cli::label_of(text);
    return 0;
  }
  const fuzz::Document document = fuzz::parse_plainly(text);
  if (!document.excused) VS_CHECK(cli::is_json_object(text) == document.value.is_object());
  fuzz::check_points(text, document);
  const auto point = cli::parse_point(text);
  if (point.ok() && !document.excused) VS_CHECK(document.value.is_object());
  fuzz::check_label(text, document);
  fuzz::check_table(text);
  return 0;
}
