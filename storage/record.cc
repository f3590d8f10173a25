#include "storage/record.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

namespace vs::storage {
namespace {

static_assert(std::endian::native == std::endian::little, "vectors and numbers are stored as they lie in memory");

template <class T>
void append_raw(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
bool take_raw(std::string_view& in, T& value) {
  if (in.size() < sizeof value) return false;
  std::memcpy(&value, in.data(), sizeof value);
  in.remove_prefix(sizeof value);
  return true;
}

template <class T>
void append_big_endian(std::string& out, T value) {
  for (size_t i = sizeof value; i-- > 0;) out.push_back(static_cast<char>(value >> (8 * i)));
}

std::string to_hex(const Uuid& uuid) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : uuid) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

bool from_hex(std::string_view text, Uuid& uuid) {
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  if (text.size() != 2 * uuid.size()) return false;
  for (size_t i = 0; i < uuid.size(); ++i) {
    const int high = digit(text[2 * i]);
    const int low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    uuid[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

// False if it is no number that fits: get<T>() cuts a larger one, drops a fraction and takes true for 1.
template <class T>
bool take_number(const nlohmann::json& json, const char* key, T& out) {
  const nlohmann::json& value = json.at(key);
  if (!value.is_number_unsigned() || value.get<uint64_t>() > std::numeric_limits<T>::max()) return false;
  out = value.get<T>();
  return true;
}

nlohmann::json code_range_json(const CodeState& codes) {
  return {{"low", codes.range.low}, {"step", codes.range.step}, {"exact", codes.exact}};
}

}  // namespace

std::string record_key(CollectionNumber collection, Lsn lsn) {
  std::string key;
  append_big_endian(key, static_cast<uint32_t>(collection));
  append_big_endian(key, lsn.value);
  return key;
}

Lsn record_key_lsn(std::string_view key) {
  Lsn lsn;
  for (const char c : key.substr(sizeof(uint32_t))) lsn.value = lsn.value << 8 | static_cast<uint8_t>(c);
  return lsn;
}

std::string id_key(CollectionNumber collection, std::string_view id) {
  std::string key;
  append_big_endian(key, static_cast<uint32_t>(collection));
  key.append(id);
  return key;
}

std::string collection_key_end(CollectionNumber collection) {
  return id_key(CollectionNumber{static_cast<uint32_t>(collection) + 1}, {});
}

std::string encode_record(const Record& record) {
  std::string value;
  value.reserve(1 + 8 + 2 + record.id.size() + 4 + record.vector.size() + record.attributes.size());
  append_raw(value, static_cast<uint8_t>(record.kind));
  append_raw(value, record.previous.value);
  append_raw(value, static_cast<uint16_t>(record.id.size()));
  value.append(record.id);
  value.append(record.vector);
  value.append(record.attributes);
  return value;
}

Result<Record> decode_record(std::string_view value, uint32_t dim) {
  const Status corrupt(Code::kCorrupt, "a record of the log is damaged");
  Record record;
  uint8_t kind = 0;
  uint16_t id_bytes = 0;
  if (!take_raw(value, kind) || !take_raw(value, record.previous.value) || !take_raw(value, id_bytes)) return corrupt;
  if (id_bytes == 0 || id_bytes > limits::kIdBytes || value.size() < id_bytes) return corrupt;
  record.kind = static_cast<Record::Kind>(kind);
  record.id = value.substr(0, id_bytes);
  value.remove_prefix(id_bytes);
  if (record.kind == Record::Kind::kDelete) {
    if (!value.empty()) return corrupt;
    return record;
  }
  const size_t vector_bytes = size_t{dim} * sizeof(float);
  if (record.kind != Record::Kind::kUpsert || value.size() < vector_bytes) return corrupt;
  record.vector = value.substr(0, vector_bytes);
  record.attributes = value.substr(vector_bytes);
  return record;
}

std::string encode_lsn(Lsn lsn) {
  std::string value;
  append_raw(value, lsn.value);
  return value;
}

Result<Lsn> decode_lsn(std::string_view value) {
  Lsn lsn;
  if (!take_raw(value, lsn.value) || !value.empty()) return Status{Code::kCorrupt, "an LSN in the ids is damaged"};
  return lsn;
}

std::vector<float> decode_vector(std::string_view bytes) {
  std::vector<float> vector(bytes.size() / sizeof(float));
  // A record of a deletion has none, and memcpy() takes no null pointer.
  if (!vector.empty()) std::memcpy(vector.data(), bytes.data(), vector.size() * sizeof(float));
  return vector;
}

std::string encode_info(const CollectionInfo& info) {
  nlohmann::json json = {
      {"number", static_cast<uint32_t>(info.number)},
      {"uuid", to_hex(info.uuid)},
      {"dim", info.config.dim},
      {"metric", metric_name(info.config.metric)},
      {"m", info.config.m},
      {"ef_construction", info.config.ef_construction},
      {"ml", info.config.ml},
      {"ef_search", info.config.ef_search},
      {"seed", info.config.seed.value_or(0)},
      {"codes", code_type_name(info.config.codes.value_or(CodeType::kNone))},
      {"generation", info.generation},
      {"checkpoint_lsn", info.checkpoint_lsn.value},
      {"slots", info.slots},
  };
  if (info.codes) json["code_range"] = code_range_json(*info.codes);
  return json.dump();
}

Result<CollectionInfo> decode_info(std::string_view name, std::string_view value) {
  const auto corrupt = [&](const std::string& why) {
    return Status{Code::kCorrupt, "the configuration of collection '" + std::string(name) + "' is damaged: " + why};
  };
  try {
    const auto json = nlohmann::json::parse(value);
    CollectionInfo info;
    CollectionConfig& config = info.config;
    uint32_t number = 0;
    uint64_t seed = 0;
    const char* wrong = nullptr;
    const auto take = [&](const char* key, auto& out) {
      if (!take_number(json, key, out)) wrong = key;
    };
    take("number", number);
    take("dim", config.dim);
    take("m", config.m);
    take("ef_construction", config.ef_construction);
    take("ef_search", config.ef_search);
    take("seed", seed);
    take("generation", info.generation);
    take("checkpoint_lsn", info.checkpoint_lsn.value);
    take("slots", info.slots);
    if (wrong != nullptr) return corrupt(std::string(wrong) + " is no number, or one out of range");
    // The keys of a collection end where those of the next number would begin.
    if (number == 0 || number == std::numeric_limits<uint32_t>::max()) return corrupt("number");
    if (!from_hex(json.at("uuid").get<std::string>(), info.uuid)) return corrupt("uuid");
    const auto metric = metric_from_name(json.at("metric").get<std::string>());
    if (!metric) return corrupt("metric");
    config.codes = code_type_from_name(json.at("codes").get<std::string>());
    if (!config.codes) return corrupt("codes of a later version");
    if (json.contains("code_range")) {
      const auto& range = json.at("code_range");
      const CodeState state{{range.at("low").get<float>(), range.at("step").get<float>()},
                            range.at("exact").get<bool>()};
      const bool sane =
          std::isfinite(state.range.low) && std::isfinite(state.range.step) && state.range.step >= CodeRange::kStepMin;
      // As it was written, to the last digit: a range that is cut to fit gives other codes.
      if (!sane || range != code_range_json(state)) return corrupt("code_range");
      info.codes = state;
    }
    info.number = CollectionNumber{number};
    config.metric = *metric;
    config.ml = json.at("ml").get<double>();
    config.seed = seed;
    auto completed = complete_config(info.config);
    if (!completed.ok()) return corrupt(completed.status().message());
    info.config = *std::move(completed);
    return info;
  } catch (const nlohmann::json::exception& e) {
    return corrupt(e.what());
  }
}

}  // namespace vs::storage
