// Replies that list points (SCAN, SEARCH, GET), read in one pass: vectors as float32 bit for bit, and attributes as
// the text that stands in the reply, so that they stay as they were given.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/protocol.h"

namespace vs::cli {

struct PointData {
  std::string id;
  std::string attributes;  // JSON text; empty if the reply has none
  std::vector<float> vector;
  std::vector<std::vector<std::string>> links;  // a list of ids for each layer
  float distance = 0;
  std::string text;  // the point's whole JSON, if asked for
};

struct PointsReply {
  std::vector<PointData> points;
  std::string rest;  // a JSON object with all other members of the reply
};

enum class PointText { kNone, kWhole, kWithoutVector };

// For an object with an array "points" or "matches". Errors: kBadRequest.
Result<PointsReply> parse_points(std::string_view json, PointText text = PointText::kNone);
// For an object that is a point. Errors: kBadRequest.
Result<PointData> parse_point(std::string_view json);

// The attribute "label" of a JSON object's text: a string as it is, another value as JSON; empty if there is none.
std::string label_of(std::string_view attributes);

}  // namespace vs::cli
