#include "cli/points.h"

namespace vs::cli {
namespace {

using protocol::FloatJson;

// Writes the events of a parse as JSON text again.
class JsonText {
 public:
  void key(std::string_view name) {
    separate();
    protocol::append_string(text_, name);
    text_ += ':';
    comma_ = false;
  }
  void value(std::string_view text) {
    separate();
    text_ += text;
    comma_ = true;
  }
  void open(char bracket) {
    separate();
    text_ += bracket;
    comma_ = false;
  }
  void close(char bracket) {
    text_ += bracket;
    comma_ = true;
  }
  std::string take() {
    comma_ = false;
    return std::exchange(text_, {});
  }

 private:
  void separate() {
    if (comma_) text_ += ',';
  }
  std::string text_;
  bool comma_ = false;
};

// Depths, counted in open brackets: 1 the reply's object, 2 the array of points, 3 a point, 4 and more a point's
// members.
class PointsHandler : public nlohmann::json_sax<FloatJson> {
 public:
  explicit PointsHandler(PointText text) : text_mode_(text) {}

  bool null() override { return scalar("null"); }
  bool boolean(bool value) override { return scalar(value ? "true" : "false"); }
  bool number_integer(int64_t value) override {
    take_number(static_cast<float>(value));
    return scalar(std::to_string(value));
  }
  bool number_unsigned(uint64_t value) override {
    take_number(static_cast<float>(value));
    return scalar(std::to_string(value));
  }
  bool number_float(float value, const std::string& text) override {
    take_number(value);
    return scalar(text);
  }
  bool string(std::string& value) override {
    if (in_points_ && depth_ == 3 && field_ == "id") points_.back().id = value;
    if (in_points_ && depth_ == 5 && field_ == "links") points_.back().links.back().push_back(value);
    std::string quoted;
    protocol::append_string(quoted, value);
    return scalar(quoted);
  }
  bool binary(FloatJson::binary_t&) override { return false; }
  bool start_object(size_t) override { return open('{'); }
  bool start_array(size_t) override { return open('['); }
  bool end_object() override { return close('}'); }
  bool end_array() override { return close(']'); }
  bool key(std::string& name) override {
    if (depth_ == 1) {
      field_ = name;
      if (!is_points_key()) rest_.key(name);
      return true;
    }
    if (!in_points_) {
      rest_.key(name);
      return true;
    }
    if (depth_ == 3) {
      field_ = name;
    } else if (field_ == "attributes") {
      attributes_.key(name);
    }
    if (echoes()) text_.key(name);
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

  Result<PointsReply> finish() {
    PointsReply reply;
    reply.points = std::move(points_);
    reply.rest = rest_.take();
    if (!found_) return Status{Code::kBadRequest, "expected a list of points in the reply"};
    return reply;
  }

 private:
  bool is_points_key() const { return field_ == "points" || field_ == "matches"; }
  bool echoes() const {
    return text_mode_ == PointText::kWhole || (text_mode_ == PointText::kWithoutVector && field_ != "vector");
  }
  void take_number(float value) {
    if (!in_points_) return;
    if (depth_ == 4 && field_ == "vector") points_.back().vector.push_back(value);
    if (depth_ == 3 && field_ == "distance") points_.back().distance = value;
  }
  bool scalar(std::string_view text) {
    if (depth_ == 0) return false;
    if (!in_points_) {
      if (depth_ == 1 && is_points_key()) return false;
      rest_.value(text);
      return true;
    }
    if (depth_ == 2) return false;
    if (depth_ > 3 && field_ == "attributes") attributes_.value(text);
    if (echoes()) text_.value(text);
    return true;
  }
  bool open(char bracket) {
    ++depth_;
    if (depth_ == 2 && is_points_key()) {
      if (bracket != '[' || found_) return false;
      in_points_ = found_ = true;
      return true;
    }
    if (!in_points_) {
      if (depth_ == 1 && bracket != '{') return false;
      rest_.open(bracket);
      return true;
    }
    if (depth_ == 3) {
      if (bracket != '{') return false;
      points_.emplace_back();
      field_.clear();
    }
    if (depth_ == 5 && field_ == "links") points_.back().links.emplace_back();
    if (depth_ > 3 && field_ == "attributes") attributes_.open(bracket);
    if (echoes()) text_.open(bracket);
    return true;
  }
  bool close(char bracket) {
    --depth_;
    if (!in_points_) {
      rest_.close(bracket);
      return true;
    }
    if (depth_ == 1) {
      in_points_ = false;
      return true;
    }
    if (depth_ >= 3 && field_ == "attributes") attributes_.close(bracket);
    if (depth_ == 3 && field_ == "attributes") points_.back().attributes = attributes_.take();
    if (depth_ == 2) field_.clear();
    if (echoes()) text_.close(bracket);
    if (depth_ == 2) points_.back().text = text_.take();
    return true;
  }

  const PointText text_mode_;
  std::vector<PointData> points_;
  JsonText rest_;
  JsonText text_;
  JsonText attributes_;
  std::string field_;  // the member of the reply or of the point that is being read
  int depth_ = 0;
  bool in_points_ = false;
  bool found_ = false;
};

}  // namespace

Result<PointsReply> parse_points(std::string_view json, PointText text) {
  PointsHandler handler(text);
  if (!FloatJson::sax_parse(json, &handler))
    return Status{Code::kBadRequest,
                  "expected a JSON list of points in the reply; it is damaged or of another protocol"};
  return handler.finish();
}

Result<PointData> parse_point(std::string_view json) {
  VS_ASSIGN_OR_RETURN(PointsReply reply, parse_points("{\"points\":[" + std::string(json) + "]}"));
  if (reply.points.size() != 1) return Status{Code::kBadRequest, "expected a point in the reply"};
  return std::move(reply.points.front());
}

std::string label_of(std::string_view attributes) {
  const auto object = nlohmann::json::parse(attributes, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return {};
  const auto label = object.find("label");
  if (label == object.end()) return {};
  return label->is_string() ? label->get<std::string>()
                            : label->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace vs::cli
