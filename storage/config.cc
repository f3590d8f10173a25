#include "storage/config.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>

namespace vs::storage {
namespace {

Status check_range(const char* field, uint64_t value, uint64_t min, uint64_t max) {
  if (value >= min && value <= max) return {};
  return {Code::kBadArgument, std::string(field) + ": expected " + std::to_string(min) + ".." + std::to_string(max) +
                                  ", got " + std::to_string(value)};
}

}  // namespace

Result<CollectionConfig> complete_config(CollectionConfig config) {
  VS_RETURN_IF_ERROR(check_range("dim", config.dim, 1, limits::kDimMax));
  VS_RETURN_IF_ERROR(check_range("m", config.m, limits::kMMin, limits::kMMax));
  VS_RETURN_IF_ERROR(check_range("ef_construction", config.ef_construction, 1, limits::kEfConstructionMax));
  VS_RETURN_IF_ERROR(check_range("ef_search", config.ef_search, 1, limits::kEfMax));
  if (config.ml == 0) config.ml = 1.0 / std::log(static_cast<double>(config.m));
  if (!(config.ml > 0) || config.ml > limits::kMlMax) {
    return Status{Code::kBadArgument, "ml: expected a number above 0 and at most " + std::to_string(limits::kMlMax) +
                                          " (the default is 1/ln(m)), got " + std::to_string(config.ml)};
  }
  if (!config.codes) config.codes = config.dim >= limits::kCodesFromDim ? CodeType::kSq8 : CodeType::kNone;
  if (!config.seed) {
    std::random_device device;
    // 53 bits: a number that every JSON reader keeps.
    config.seed = (uint64_t{device()} << 32 | device()) >> 11;
  }
  return config;
}

std::string_view code_type_name(CodeType type) {
  switch (type) {
    case CodeType::kNone:
      return "none";
    case CodeType::kSq8:
      return "sq8";
    case CodeType::kPca:
      return "pca";
  }
  return "none";
}

std::optional<CodeType> code_type_from_name(std::string_view name) {
  for (const CodeType type : {CodeType::kNone, CodeType::kSq8, CodeType::kPca}) {
    if (code_type_name(type) == name) return type;
  }
  return std::nullopt;
}

uint64_t free_space_reserve(const DatabaseOptions& options, uint64_t disk_bytes) {
  constexpr uint64_t kMax = 256u << 20;
  if (options.free_space_reserve_bytes != DatabaseOptions::kReserveOfFileSystem)
    return options.free_space_reserve_bytes;
  return std::min(kMax, disk_bytes / 20);
}

std::string_view durability_name(Durability durability) {
  switch (durability) {
    case Durability::kAlways:
      return "always";
    case Durability::kInterval:
      return "interval";
    case Durability::kNone:
      return "none";
  }
  return "always";
}

std::optional<Durability> durability_from_name(std::string_view name) {
  for (const Durability durability : {Durability::kAlways, Durability::kInterval, Durability::kNone}) {
    if (durability_name(durability) == name) return durability;
  }
  return std::nullopt;
}

}  // namespace vs::storage
