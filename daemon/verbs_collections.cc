// Verbs about whole collections.
#include "daemon/reply.h"
#include "daemon/text.h"
#include "daemon/verbs.h"

namespace vs::daemon {
namespace {

Result<std::optional<uint32_t>> read_uint32(const Call& call, std::string_view name, uint64_t min, uint64_t max) {
  const protocol::Value* const value = call.option(name);
  if (value == nullptr) return std::optional<uint32_t>{};
  VS_ASSIGN_OR_RETURN(const uint64_t number, protocol::read_unsigned(*value, name, min, max));
  return std::optional(static_cast<uint32_t>(number));
}

Result<storage::CollectionConfig> read_config(const Call& call) {
  if (call.option("dim") == nullptr) {
    return Status(Code::kBadArgument, "CREATE needs dim=, the number of components of a vector, such as dim=784");
  }
  storage::CollectionConfig config;
  VS_ASSIGN_OR_RETURN(const auto dim, read_uint32(call, "dim", 1, limits::kDimMax));
  VS_ASSIGN_OR_RETURN(const storage::RebuildOptions graph, read_graph_options(call));
  VS_ASSIGN_OR_RETURN(const auto ef_search, read_uint32(call, "ef_search", 1, limits::kEfMax));
  config.dim = *dim;
  config.m = graph.m.value_or(config.m);
  config.ef_construction = graph.ef_construction.value_or(config.ef_construction);
  config.ml = graph.ml.value_or(config.ml);
  config.codes = graph.codes;
  config.ef_search = ef_search.value_or(config.ef_search);
  if (const auto* const value = call.option("metric")) {
    VS_ASSIGN_OR_RETURN(const std::string name, protocol::read_word(*value, "metric"));
    const auto metric = metric_from_name(name);
    if (!metric) return Status(Code::kBadArgument, "metric must be l2, cosine or dot, got " + excerpt(name));
    config.metric = *metric;
  }
  if (const auto* const value = call.option("seed")) {
    VS_ASSIGN_OR_RETURN(config.seed, protocol::read_unsigned(*value, "seed", 0, UINT64_MAX));
  }
  return config;
}

}  // namespace

Result<storage::RebuildOptions> read_graph_options(const Call& call) {
  storage::RebuildOptions options;
  VS_ASSIGN_OR_RETURN(options.m, read_uint32(call, "m", limits::kMMin, limits::kMMax));
  VS_ASSIGN_OR_RETURN(options.ef_construction, read_uint32(call, "ef_construction", 1, limits::kEfConstructionMax));
  if (const auto* const value = call.option("ml")) {
    VS_ASSIGN_OR_RETURN(options.ml, protocol::read_number(*value, "ml"));
    // In the configuration 0 asks for the default; a client asks for that by leaving ml out.
    if (!(*options.ml > 0) || *options.ml > limits::kMlMax) {
      return Status(Code::kBadArgument, "ml must be a number above 0 and at most 4, got " + excerpt(value->text));
    }
  }
  if (const auto* const value = call.option("codes")) {
    VS_ASSIGN_OR_RETURN(const std::string name, protocol::read_word(*value, "codes"));
    options.codes = storage::code_type_from_name(name);
    if (!options.codes) return Status(Code::kBadArgument, "codes must be none, sq8 or pca, got " + excerpt(name));
  }
  return options;
}

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

Status run_alter(const Call& call, std::string& json) {
  VS_ASSIGN_OR_RETURN(const std::string name, protocol::read_word(call.request.arguments[0], "the collection's name"));
  VS_RETURN_IF_ERROR(protocol::validate_collection_name(name));
  VS_ASSIGN_OR_RETURN(const auto ef_search, read_uint32(call, "ef_search", 1, limits::kEfMax));
  if (!ef_search) return {Code::kBadArgument, "ALTER needs ef_search=, such as ef_search=128"};
  VS_ASSIGN_OR_RETURN(const storage::CollectionConfig config, call.service.database.alter(name, *ef_search));
  JsonObject reply(json);
  reply.text("name", name);
  write_config(reply, config);
  return {};
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
  reply.integer("applied_lsn", stats.applied_lsn.value);
  reply.integer("checkpoint_lsn", stats.checkpoint_lsn.value);
  if (stats.codes) {
    JsonObject range(reply.key("code_range"));
    range.real("low", static_cast<double>(stats.codes->range.low));
    range.real("step", static_cast<double>(stats.codes->range.step));
    range.key("exact") += stats.codes->exact ? "true" : "false";
  }
  if (stats.pca) {
    JsonObject pca(reply.key("pca"));
    pca.integer("components", stats.pca->components);
    pca.real("share", stats.pca->share);
    pca.integer("bytes", stats.pca->bytes);
  }
  if (stats.locked_bytes != 0) reply.integer("locked_bytes", stats.locked_bytes);
  reply.key("bytes");
  JsonObject bytes(json);
  for (const auto& [file, size] : stats.bytes) bytes.integer(file, size);
  return {};
}

}  // namespace vs::daemon
