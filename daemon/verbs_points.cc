// Verbs about points.
#include <chrono>
#include <cmath>

#include "daemon/reply.h"
#include "daemon/text.h"
#include "daemon/verbs.h"

namespace vs::daemon {
namespace {

using storage::AddRequest;
using storage::With;

// About a millisecond.
constexpr uint64_t kEfHeavy = 1000;
constexpr uint32_t kScanHeavy = 500;

Result<std::string> read_id(const protocol::Value& value) {
  VS_ASSIGN_OR_RETURN(std::string id, protocol::read_word(value, "the id"));
  VS_RETURN_IF_ERROR(protocol::validate_id(id));
  return id;
}

// A list such as with=attributes,vector; nothing when the option is not given.
Result<With> read_with(const Call& call, bool links_allowed) {
  With with;
  const protocol::Value* const value = call.option("with");
  if (value == nullptr) return with;
  VS_ASSIGN_OR_RETURN(const std::string list, protocol::read_word(*value, "with"));
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string_view part = std::string_view(list).substr(begin, end - begin);
    begin = end + 1;
    if (part == "attributes") {
      with.attributes = true;
    } else if (part == "vector") {
      with.vector = true;
    } else if (part == "links" && links_allowed) {
      with.links = true;
    } else {
      return Status(Code::kBadArgument,
                    "with must be a comma list of " +
                        std::string(links_allowed ? "vector, attributes, links" : "attributes, vector") + ", got " +
                        excerpt(list));
    }
  }
  return with;
}

Status read_uint32(const Call& call, std::string_view name, uint32_t max, uint32_t& field) {
  const protocol::Value* const value = call.option(name);
  if (value == nullptr) return {};
  VS_ASSIGN_OR_RETURN(const uint64_t number, protocol::read_unsigned(*value, name, 1, max));
  field = static_cast<uint32_t>(number);
  return {};
}

Result<bool> read_switch(const Call& call, std::string_view name) {
  const protocol::Value* const value = call.option(name);
  if (value == nullptr) return false;
  return protocol::read_bool(*value, name);
}

Result<AddRequest::If> read_condition(const Call& call) {
  const protocol::Value* const value = call.option("if");
  if (value == nullptr) return AddRequest::If::kAlways;
  VS_ASSIGN_OR_RETURN(const std::string word, protocol::read_word(*value, "if"));
  if (word == "absent") return AddRequest::If::kAbsent;
  if (word == "present") return AddRequest::If::kPresent;
  return Status(Code::kBadArgument, "if must be absent or present, got " + excerpt(word));
}

Result<storage::SearchRequest> read_search(const Call& call) {
  storage::SearchRequest search;
  const protocol::Value* const id = call.option("id");
  const bool has_vector = call.request.arguments.size() == 2;
  if (has_vector == (id != nullptr)) {
    return Status(Code::kBadArgument, "SEARCH takes either a vector or id=, got " +
                                          std::string(has_vector ? "both" : "neither") +
                                          "; such as SEARCH name [0.5,1] or SEARCH name id=7");
  }
  if (has_vector) {
    VS_ASSIGN_OR_RETURN(search.vector, protocol::read_vector(call.request.arguments[1]));
  } else {
    VS_ASSIGN_OR_RETURN(search.id, read_id(*id));
  }
  VS_RETURN_IF_ERROR(read_uint32(call, "k", limits::kKMax, search.k));
  VS_RETURN_IF_ERROR(read_uint32(call, "ef", limits::kEfMax, search.ef));
  VS_ASSIGN_OR_RETURN(search.exact, read_switch(call, "exact"));
  if (const auto* const value = call.option("radius")) {
    VS_ASSIGN_OR_RETURN(const double radius, protocol::read_number(*value, "radius"));
    search.radius = static_cast<float>(radius);
    if (!std::isfinite(*search.radius)) {
      return Status(Code::kBadArgument, "radius must be within float32's range, got " + excerpt(value->text));
    }
  }
  VS_ASSIGN_OR_RETURN(search.with, read_with(call, false));
  return search;
}

void write_explain(JsonObject& reply, const storage::SearchReply& found, std::chrono::steady_clock::duration time) {
  std::string& json = reply.key("explain");
  JsonObject explain(json);
  explain.integer("ef", found.ef);
  explain.flag("exact", found.exact);
  explain.flag("fell_back", found.fell_back);
  explain.integer("distances", found.distances);
  {
    JsonObject from(explain.key("distances_from"));
    from.integer("short_codes", found.from_short_codes);
    from.integer("codes", found.from_codes);
    from.integer("floats", found.distances - found.from_short_codes - found.from_codes);
  }
  append_array(explain.key("hops"), found.hops, [&](uint32_t hops) { json += std::to_string(hops); });
  if (found.entry_point.empty()) {
    explain.key("entry_point") += "null";
  } else {
    explain.text("entry_point", found.entry_point);
  }
  explain.integer("time_us", std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

}  // namespace

Status start_add(const Call& call, Done done) {
  const auto& arguments = call.request.arguments;
  VS_ASSIGN_OR_RETURN(const auto collection, call.collection());
  AddRequest add;
  VS_ASSIGN_OR_RETURN(add.id, read_id(arguments[1]));
  VS_ASSIGN_OR_RETURN(add.vector, protocol::read_vector(arguments[2]));
  if (arguments.size() == 4) {
    VS_ASSIGN_OR_RETURN(add.attributes, protocol::read_attributes(arguments[3]));
  }
  VS_ASSIGN_OR_RETURN(add.condition, read_condition(call));
  std::string id = add.id;
  collection->add(std::move(add), [id = std::move(id), done = std::move(done)](Result<storage::AddReply> result) {
    std::string json;
    if (result.ok()) {
      JsonObject reply(json);
      reply.text("id", id);
      reply.integer("lsn", result->lsn.value);
      reply.flag("created", result->created);
    }
    done(result.status(), std::move(json));
  });
  return {};
}

Status start_del(const Call& call, Done done) {
  VS_ASSIGN_OR_RETURN(const auto collection, call.collection());
  std::vector<std::string> ids;
  ids.reserve(call.request.arguments.size() - 1);
  for (size_t i = 1; i < call.request.arguments.size(); ++i) {
    VS_ASSIGN_OR_RETURN(std::string id, read_id(call.request.arguments[i]));
    ids.push_back(std::move(id));
  }
  collection->remove(std::move(ids), [done = std::move(done)](Result<storage::DeleteReply> result) {
    std::string json;
    if (result.ok()) {
      JsonObject reply(json);
      reply.integer("deleted", result->deleted);
      append_strings(reply.key("missing"), result->missing);
    }
    done(result.status(), std::move(json));
  });
  return {};
}

Status run_get(const Call& call, std::string& json) {
  VS_ASSIGN_OR_RETURN(const auto collection, call.collection());
  VS_ASSIGN_OR_RETURN(const std::string id, read_id(call.request.arguments[1]));
  VS_ASSIGN_OR_RETURN(With with, read_with(call, false));
  with.attributes = true;
  VS_ASSIGN_OR_RETURN(const storage::Point point, collection->get(id, with));
  JsonObject reply(json);
  reply.text("id", point.id);
  write_point(reply, point, with);
  return {};
}

Status run_search(const Call& call, std::string& json) {
  VS_ASSIGN_OR_RETURN(const auto collection, call.collection());
  VS_ASSIGN_OR_RETURN(const storage::SearchRequest search, read_search(call));
  VS_ASSIGN_OR_RETURN(const bool explain, read_switch(call, "explain"));
  const uint64_t vector_bytes = uint64_t{search.k} * collection->config().dim * sizeof(float);
  if (search.with.vector && vector_bytes > limits::kReplyBytes) {
    return {Code::kTooLarge, "the vectors of k=" + std::to_string(search.k) + " matches would be " +
                                 std::to_string(vector_bytes >> 20) + " MiB, at most " +
                                 std::to_string(limits::kReplyBytes >> 20) +
                                 " are replied; ask for a smaller k, or for the vectors with GET"};
  }
  const auto begin = std::chrono::steady_clock::now();
  VS_ASSIGN_OR_RETURN(const storage::SearchReply found, collection->search(search));
  const auto time = std::chrono::steady_clock::now() - begin;
  JsonObject reply(json);
  append_search_reply(reply.key("matches"), found, search.with);
  if (explain) write_explain(reply, found, time);
  return {};
}

bool is_heavy_search(const Call& call) {
  const auto exact = read_switch(call, "exact");
  if (exact.ok() && *exact) return true;
  const auto above = [&](const char* name) {
    const protocol::Value* const value = call.option(name);
    if (value == nullptr) return false;
    const auto number = protocol::read_unsigned(*value, name, 0, UINT64_MAX);
    return number.ok() && *number > kEfHeavy;
  };
  if (above("ef") || above("k")) return true;
  if (call.option("ef") != nullptr) return false;
  const auto collection = call.collection();
  return collection.ok() && (*collection)->config().ef_search > kEfHeavy;
}

// Each point may take a look into RocksDB.
bool is_heavy_scan(const Call& call) {
  uint32_t limit = 0;
  return read_uint32(call, "limit", limits::kScanLimitMax, limit).ok() && limit > kScanHeavy;
}

Status run_scan(const Call& call, std::string& json) {
  VS_ASSIGN_OR_RETURN(const auto collection, call.collection());
  storage::ScanRequest scan;
  if (const auto* const value = call.option("cursor")) {
    VS_ASSIGN_OR_RETURN(const std::string word, protocol::read_word(*value, "cursor"));
    const protocol::Value bare{protocol::Value::Kind::kBare, word};
    VS_ASSIGN_OR_RETURN(scan.after.value, protocol::read_unsigned(bare, "cursor", 0, UINT64_MAX));
  }
  VS_RETURN_IF_ERROR(read_uint32(call, "limit", limits::kScanLimitMax, scan.limit));
  VS_ASSIGN_OR_RETURN(scan.with, read_with(call, true));
  VS_ASSIGN_OR_RETURN(const storage::ScanReply page, collection->scan(scan));
  append_scan_reply(json, page, scan.with);
  return {};
}

}  // namespace vs::daemon
