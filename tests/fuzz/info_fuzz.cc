// Fuzzes the JSON in RocksDB that describes a collection. What is accepted must be what stands there: a number that is
// cut to fit its field would name other files or another checkpoint.
#include <nlohmann/json.hpp>

#include "storage/record.h"
#include "tests/fuzz/fuzz.h"

namespace vs::fuzz {
namespace {

using namespace storage;

void check_info(const CollectionInfo& info, std::string_view value) {
  const CollectionConfig& config = info.config;
  VS_CHECK(config.dim >= 1 && config.dim <= limits::kDimMax);
  VS_CHECK(config.m >= limits::kMMin && config.m <= limits::kMMax);
  VS_CHECK(config.ef_construction >= 1 && config.ef_construction <= limits::kEfConstructionMax);
  VS_CHECK(config.ef_search >= 1 && config.ef_search <= limits::kEfMax);
  VS_CHECK(config.ml > 0 && config.ml <= limits::kMlMax && config.seed.has_value());

  const auto given = nlohmann::json::parse(value);
  const std::string encoded = encode_info(info);
  const auto fields = nlohmann::json::parse(encoded);
  for (const auto& [key, field] : fields.items()) {
    // 0 asks for the default.
    if (key == "ml" && given.at(key) == 0) continue;
    VS_CHECK(given.at(key) == field);
  }
  const auto again = decode_info("name", encoded);
  VS_CHECK(again.ok() && encode_info(*again) == encoded);
}

}  // namespace
}  // namespace vs::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs::fuzz;
  const std::string_view value = text_of(data, size);
  const auto info = vs::storage::decode_info("name", value);
  if (info.ok()) {
    check_info(*info, value);
  } else {
    VS_CHECK(info.status().code() == vs::Code::kCorrupt && info.status().message().find('\n') == std::string::npos);
  }
  return 0;
}
