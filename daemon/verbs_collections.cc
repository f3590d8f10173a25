// Verbs about whole collections.
#include "daemon/reply.h"
#include "daemon/text.h"
#include "daemon/verbs.h"

namespace vs::daemon {
namespace {

Result<storage::CollectionConfig> read_config(const Call& call) {
  storage::CollectionConfig config;
  const auto read_uint32 = [&](std::string_view name, uint64_t min, uint64_t max, uint32_t& field) -> Status {
    const protocol::Value* const value = call.option(name);
    if (value == nullptr) return {};
    VS_ASSIGN_OR_RETURN(const uint64_t number, protocol::read_unsigned(*value, name, min, max));
    field = static_cast<uint32_t>(number);
    return {};
  };
  if (call.option("dim") == nullptr) {
    return Status(Code::kBadArgument, "CREATE needs dim=, the number of components of a vector, such as dim=784");
  }
  VS_RETURN_IF_ERROR(read_uint32("dim", 1, limits::kDimMax, config.dim));
  VS_RETURN_IF_ERROR(read_uint32("m", limits::kMMin, limits::kMMax, config.m));
  VS_RETURN_IF_ERROR(read_uint32("ef_construction", 1, limits::kEfConstructionMax, config.ef_construction));
  VS_RETURN_IF_ERROR(read_uint32("ef_search", 1, limits::kEfMax, config.ef_search));
  if (const auto* const value = call.option("metric")) {
    VS_ASSIGN_OR_RETURN(const std::string name, protocol::read_word(*value, "metric"));
    const auto metric = metric_from_name(name);
    if (!metric) return Status(Code::kBadArgument, "metric must be l2, cosine or dot, got " + excerpt(name));
    config.metric = *metric;
  }
  if (const auto* const value = call.option("ml")) {
    VS_ASSIGN_OR_RETURN(config.ml, protocol::read_number(*value, "ml"));
    // In the configuration 0 asks for the default; a client asks for that by leaving ml out.
    if (!(config.ml > 0) || config.ml > limits::kMlMax) {
      return Status(Code::kBadArgument, "ml must be a number above 0 and at most 4, got " + excerpt(value->text));
    }
  }
  if (const auto* const value = call.option("seed")) {
    VS_ASSIGN_OR_RETURN(config.seed, protocol::read_unsigned(*value, "seed", 0, UINT64_MAX));
  }
  if (const auto* const value = call.option("codes")) {
    VS_ASSIGN_OR_RETURN(const std::string name, protocol::read_word(*value, "codes"));
    if (name == "sq8") {
      return Status(Code::kBadArgument, "this version stores no codes, got codes=sq8; codes=none works");
    }
    if (name != "none") return Status(Code::kBadArgument, "codes must be none, got " + excerpt(name));
  }
  return config;
}

}  // namespace

Status run_list(const Call& call, std::string& json) {
  JsonObject reply(json);
  append_array(reply.key("collections"), call.service.database.names(), [&](const std::string& name) {
    JsonObject object(json);
    object.text("name", name);
    const auto collection = call.service.database.find(name);
    if (!collection.ok()) {
      object.text("error", collection.status().to_string());
      return;
    }
    const storage::CollectionStats stats = (*collection)->stats();
    object.integer("dim", stats.config.dim);
    object.text("metric", metric_name(stats.config.metric));
    object.integer("live", stats.live);
    object.integer("deleted", stats.deleted);
  });
  return {};
}

Status run_create(const Call& call, std::string& json) {
  VS_ASSIGN_OR_RETURN(const std::string name, protocol::read_word(call.request.arguments[0], "the collection's name"));
  VS_RETURN_IF_ERROR(protocol::validate_collection_name(name));
  VS_ASSIGN_OR_RETURN(const storage::CollectionConfig config, read_config(call));
  VS_ASSIGN_OR_RETURN(const storage::CollectionConfig complete, call.service.database.create(name, config));
  JsonObject reply(json);
  reply.text("name", name);
  write_config(reply, complete);
  return {};
}

Status run_drop(const Call& call, std::string&) {
  VS_ASSIGN_OR_RETURN(const std::string name, protocol::read_word(call.request.arguments[0], "the collection's name"));
  VS_RETURN_IF_ERROR(protocol::validate_collection_name(name));
  return call.service.database.drop(name);
}

Status run_stats(const Call& call, std::string& json) {
  VS_ASSIGN_OR_RETURN(const auto collection, call.collection());
  const storage::CollectionStats stats = collection->stats();
  JsonObject reply(json);
  write_config(reply, stats.config);
  reply.integer("live", stats.live);
  reply.integer("deleted", stats.deleted);
  append_array(reply.key("layers"), stats.layers, [&](uint64_t count) { json += std::to_string(count); });
  reply.integer("generation", stats.generation);
  reply.integer("lsn", stats.lsn.value);
  reply.integer("checkpoint_lsn", stats.checkpoint_lsn.value);
  reply.key("bytes");
  JsonObject bytes(json);
  for (const auto& [file, size] : stats.bytes) bytes.integer(file, size);
  return {};
}

}  // namespace vs::daemon
