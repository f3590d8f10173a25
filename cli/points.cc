#include "cli/points.h"

#include "cli/json_cursor.h"

namespace vs::cli {
namespace {

// Appends a member to the text of an object that is not yet closed.
void append_member(std::string& object, std::string_view name, std::string_view value) {
  if (object.size() > 1) object += ',';
  protocol::append_string(object, name);
  object += ':';
  object += value;
}

void read_links(JsonCursor& cursor, std::vector<std::vector<std::string>>& links) {
  cursor.open('[');
  while (cursor.more(']')) {
    std::vector<std::string>& layer = links.emplace_back();
    cursor.open('[');
    while (cursor.more(']')) cursor.string(layer.emplace_back());
  }
}

bool read_point(JsonCursor& cursor, PointText mode, PointData& point) {
  const size_t begin = cursor.position();
  std::string without_vector = "{";
  cursor.open('{');
  for (std::string name; cursor.more('}');) {
    if (!cursor.name(name)) break;
    const size_t value = cursor.position();
    if (name == "vector") {
      cursor.open('[');
      while (cursor.more(']')) cursor.number(point.vector.emplace_back());
    } else if (name == "links") {
      read_links(cursor, point.links);
    } else if (name == "id") {
      cursor.string(point.id);
    } else if (name == "distance") {
      cursor.number(point.distance);
    } else {
      const std::string_view text = cursor.value();
      if (name == "attributes") point.attributes = text;
    }
    if (mode == PointText::kWithoutVector && name != "vector") append_member(without_vector, name, cursor.since(value));
  }
  if (mode == PointText::kWhole) point.text = cursor.since(begin);
  if (mode == PointText::kWithoutVector) point.text = without_vector + '}';
  return !cursor.failed();
}

Status damaged(const char* expected) {
  return {Code::kBadRequest,
          std::string("expected ") + expected + " in the reply; it is damaged or of another protocol"};
}

}  // namespace

Result<PointsReply> parse_points(std::string_view json, PointText text) {
  PointsReply reply;
  reply.rest = "{";
  bool found = false;
  JsonCursor cursor(json);
  cursor.open('{');
  for (std::string name; cursor.more('}');) {
    if (!cursor.name(name)) break;
    if (name != "points" && name != "matches") {
      append_member(reply.rest, name, cursor.value());
      continue;
    }
    if (std::exchange(found, true)) return damaged("one list of points");
    cursor.open('[');
    while (cursor.more(']') && read_point(cursor, text, reply.points.emplace_back())) {
    }
  }
  reply.rest += '}';
  if (!cursor.at_end() || !found) return damaged("a JSON list of points");
  return reply;
}

Result<PointData> parse_point(std::string_view json) {
  JsonCursor cursor(json);
  PointData point;
  if (!read_point(cursor, PointText::kNone, point) || !cursor.at_end()) return damaged("a point");
  return point;
}

std::string label_of(std::string_view attributes) {
  JsonCursor cursor(attributes);
  std::string label;
  cursor.open('{');
  for (std::string name; cursor.more('}');) {
    if (!cursor.name(name)) break;
    const std::string_view value = cursor.value();
    if (name != "label") continue;
    label = value;
    if (JsonCursor text(value); value.substr(0, 1) == "\"") text.string(label);
  }
  return cursor.at_end() ? label : std::string();
}

}  // namespace vs::cli
