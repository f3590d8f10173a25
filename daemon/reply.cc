#include "daemon/reply.h"

#include "daemon/protocol.h"

namespace vs::daemon {
std::string& JsonObject::key(std::string_view key) {
  if (!first_) out_ += ',';
  first_ = false;
  out_ += '"';
  out_ += key;
  out_ += "\":";
  return out_;
}

void JsonObject::text(std::string_view key, std::string_view value) { protocol::append_string(this->key(key), value); }

void JsonObject::real(std::string_view key, double value) { protocol::append_number(this->key(key), value); }

void append_strings(std::string& out, const std::vector<std::string>& strings) {
  append_array(out, strings, [&](const std::string& text) { protocol::append_string(out, text); });
}

void write_config(JsonObject& object, const storage::CollectionConfig& config) {
  object.integer("dim", config.dim);
  object.text("metric", metric_name(config.metric));
  object.integer("m", config.m);
  object.integer("ef_construction", config.ef_construction);
  object.real("ml", config.ml);
  object.integer("ef_search", config.ef_search);
  object.integer("seed", config.seed.value_or(0));
  object.text("codes", storage::code_type_name(config.codes.value_or(storage::CodeType::kNone)));
}

void write_point(JsonObject& object, const storage::Point& point, storage::With with) {
  if (with.attributes) object.key("attributes") += point.attributes;
  if (with.vector) protocol::append_vector(object.key("vector"), point.vector);
  if (with.links) {
    std::string& out = object.key("links");
    append_array(out, point.links, [&](const std::vector<std::string>& ids) { append_strings(out, ids); });
  }
}

void append_search_reply(std::string& out, const storage::SearchReply& reply, storage::With with) {
  append_array(out, reply.matches, [&](const storage::Match& match) {
    JsonObject object(out);
    object.text("id", match.point.id);
    protocol::append_number(object.key("distance"), match.distance);
    write_point(object, match.point, with);
  });
}

void append_scan_reply(std::string& out, const storage::ScanReply& reply, storage::With with) {
  JsonObject page(out);
  append_array(page.key("points"), reply.points, [&](const storage::Point& point) {
    JsonObject object(out);
    object.text("id", point.id);
    write_point(object, point, with);
  });
  if (reply.next) {
    page.text("cursor", std::to_string(reply.next->value));
  } else {
    page.key("cursor") += "null";
  }
}

}  // namespace vs::daemon
