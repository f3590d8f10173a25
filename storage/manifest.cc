#include "storage/manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>

#include "index/limits.h"
#include "storage/checksum.h"
#include "storage/record.h"

namespace vs::storage {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFolder = "rocksdb/";
constexpr std::string_view kSealBegin = ",\n \"checksum\": \"";
constexpr std::string_view kSealEnd = "\"\n}\n";

bool is_name_character(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '.' || c == '-';
}

bool is_name(std::string_view text, size_t bytes_max) {
  return !text.empty() && text.size() <= bytes_max && text.front() != '.' &&
         std::all_of(text.begin(), text.end(), is_name_character);
}

bool is_time(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00Z";
  if (text.size() != kShape.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (kShape[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != kShape[i]) return false;
  }
  return true;
}

bool is_checksum(std::string_view text) {
  return text.size() == kChecksumDigits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Status corrupt(const std::string& why) { return {Code::kCorrupt, why}; }

// Members of a JSON object; what is missing or of another kind is remembered as wrong.
class Members {
 public:
  Members(const Json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) wrong_ = where_ + " is no object";
  }

  template <class Accept>
  std::string text(const char* key, Accept accept) {
    const Json* const value = find(key);
    if (value == nullptr) return {};
    if (value->is_string()) {
      auto text = value->get<std::string>();
      if (accept(text)) return text;
    }
    note(key);
    return {};
  }
  uint64_t number(const char* key, uint64_t max) {
    const Json* const value = find(key);
    if (value == nullptr) return 0;
    if (value->is_number_unsigned() && value->get<uint64_t>() <= max) return value->get<uint64_t>();
    note(key);
    return 0;
  }
  const Json& array(const char* key) {
    static const Json kNone = Json::array();
    const Json* const value = find(key);
    if (value == nullptr) return kNone;
    if (value->is_array()) return *value;
    note(key);
    return kNone;
  }

  Status status() const { return wrong_.empty() ? Status{} : corrupt(wrong_); }

 private:
  const Json* find(const char* key) {
    if (!wrong_.empty()) return nullptr;
    const auto found = object_.find(key);
    if (found != object_.end()) return &*found;
    wrong_ = where_ + " has no \"" + key + "\"";
    return nullptr;
  }
  void note(const char* key) {
    if (wrong_.empty()) wrong_ = where_ + ": \"" + key + "\" is not what it has to be";
  }

  const Json& object_;
  const std::string where_;
  std::string wrong_;
};

Result<Manifest::Collection> decode_collection(const Json& json) {
  Members members(json, "an entry of \"collections\"");
  Manifest::Collection collection;
  collection.name = members.text("name", [](const std::string& s) { return is_name(s, limits::kCollectionNameBytes); });
  collection.dim = static_cast<uint32_t>(members.number("dim", limits::kDimMax));
  const std::string metric =
      members.text("metric", [](const std::string& s) { return metric_from_name(s).has_value(); });
  collection.points = members.number("points", UINT32_MAX);
  collection.lsn = Lsn{members.number("lsn", UINT64_MAX)};
  VS_RETURN_IF_ERROR(members.status());
  collection.metric = *metric_from_name(metric);
  return collection;
}

Result<Manifest::FileEntry> decode_file(const Json& json) {
  constexpr size_t kNameBytesMax = 255;
  Members members(json, "an entry of \"files\"");
  Manifest::FileEntry file;
  file.path = members.text("path", [](const std::string& path) {
    return path.starts_with(kFolder) && is_name(std::string_view(path).substr(kFolder.size()), kNameBytesMax);
  });
  file.bytes = members.number("bytes", INT64_MAX);
  file.checksum = members.text("checksum", is_checksum);
  VS_RETURN_IF_ERROR(members.status());
  return file;
}

// The version decides how the rest is to be read, so it comes first.
Status check_version(const Json& json) {
  Members members(json, "the manifest");
  const uint64_t version = members.number("manifest_version", UINT64_MAX);
  VS_RETURN_IF_ERROR(members.status());
  if (version > Manifest::kVersion) {
    return corrupt("it has version " + std::to_string(version) + ", this vsd (" VS_VERSION ") reads versions up to " +
                   std::to_string(Manifest::kVersion) + "; use the vsd that made it, or a later one");
  }
  return version == 0 ? corrupt("version 0 does not exist") : Status{};
}

Status check_seal(std::string_view text) {
  constexpr size_t kSealBytes = kSealBegin.size() + kChecksumDigits + kSealEnd.size();
  const Status cut = corrupt("it does not end with its checksum; it was cut or edited");
  if (text.size() < kSealBytes) return cut;
  const std::string_view sealed = text.substr(0, text.size() - kSealBytes);
  std::string_view seal = text.substr(sealed.size());
  if (!seal.starts_with(kSealBegin) || !seal.ends_with(kSealEnd)) return cut;
  const std::string_view expected = seal.substr(kSealBegin.size(), kChecksumDigits);
  const std::string found = checksum_of(sealed);
  if (found == expected) return {};
  return corrupt("its checksum is " + found + ", it says " + std::string(is_checksum(expected) ? expected : "none"));
}

Result<Manifest> decode(const Json& json) {
  Manifest manifest;
  Members members(json, "the manifest");
  const auto is_version = [](const std::string& s) { return is_name(s, limits::kCollectionNameBytes); };
  manifest.vsd_version = members.text("vsd_version", is_version);
  manifest.format_version = members.text("format_version", is_version);
  manifest.tag = members.text("tag", [](const std::string& s) { return validate_tag(s).ok(); });
  manifest.time = members.text("time", is_time);
  std::set<std::string_view> names;
  const Json& collections = members.array("collections");
  manifest.collections.reserve(collections.size());
  for (const Json& entry : collections) {
    VS_ASSIGN_OR_RETURN(Manifest::Collection collection, decode_collection(entry));
    manifest.collections.push_back(std::move(collection));
    if (!names.insert(manifest.collections.back().name).second) return corrupt("a collection stands there twice");
  }
  const Json& files = members.array("files");
  manifest.files.reserve(files.size());
  std::set<std::string_view> paths;
  uint64_t bytes = 0;
  for (const Json& entry : files) {
    VS_ASSIGN_OR_RETURN(Manifest::FileEntry file, decode_file(entry));
    bytes += file.bytes;
    if (bytes > INT64_MAX) return corrupt("its files have more bytes than a disk");
    manifest.files.push_back(std::move(file));
    if (!paths.insert(manifest.files.back().path).second) return corrupt("a file stands there twice");
  }
  VS_RETURN_IF_ERROR(members.status());
  if (!paths.contains("rocksdb/CURRENT")) return corrupt("it does not name rocksdb/CURRENT, where RocksDB begins");
  return manifest;
}

}  // namespace

uint64_t Manifest::bytes() const {
  uint64_t sum = 0;
  for (const FileEntry& file : files) sum += file.bytes;
  return sum;
}

uint64_t Manifest::points() const {
  uint64_t sum = 0;
  for (const Collection& collection : collections) sum += collection.points;
  return sum;
}

Status validate_tag(std::string_view tag) {
  if (is_name(tag, limits::kCollectionNameBytes)) return {};
  return {Code::kBadArgument, "the tag of a snapshot must be 1 to " + std::to_string(limits::kCollectionNameBytes) +
                                  " characters of A-Z a-z 0-9 _ . - and not begin with a dot"};
}

std::string encode_manifest(const Manifest& manifest) {
  Json json = {{"manifest_version", Manifest::kVersion},
               {"vsd_version", manifest.vsd_version},
               {"format_version", manifest.format_version},
               {"tag", manifest.tag},
               {"time", manifest.time}};
  Json& collections = json["collections"] = Json::array();
  for (const auto& collection : manifest.collections) {
    collections.push_back({{"name", collection.name},
                           {"dim", collection.dim},
                           {"metric", metric_name(collection.metric)},
                           {"points", collection.points},
                           {"lsn", collection.lsn.value}});
  }
  Json& files = json["files"] = Json::array();
  for (const auto& file : manifest.files) {
    files.push_back({{"path", file.path}, {"bytes", file.bytes}, {"checksum", file.checksum}});
  }
  std::string text = json.dump(1);
  text.resize(text.size() - 2);  // "\n}" comes behind the checksum
  return text + std::string(kSealBegin) + checksum_of(text) + std::string(kSealEnd);
}

Result<Manifest> decode_manifest(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    VS_RETURN_IF_ERROR(check_version(json));
    VS_RETURN_IF_ERROR(check_seal(text));
    return decode(json);
  } catch (const Json::parse_error& e) {
    // Not its text, which quotes what stands there.
    return corrupt("it is no JSON, from byte " + std::to_string(e.byte) + " on");
  } catch (const Json::exception&) {
    return corrupt("its JSON cannot be read");
  }
}

Result<Manifest> read_manifest(FileSystem& file_system, const std::string& directory) {
  const std::string path = directory + "/" + Manifest::kFileName;
  VS_ASSIGN_OR_RETURN(const auto file, file_system.open(path, Access::kReadOnly));
  VS_ASSIGN_OR_RETURN(const uint64_t size, file->size());
  if (size > Manifest::kBytesMax) {
    return corrupt(path + ": expected at most " + std::to_string(Manifest::kBytesMax) + " bytes, it has " +
                   std::to_string(size));
  }
  std::string text(static_cast<size_t>(size), '\0');
  VS_RETURN_IF_ERROR(file->read(0, std::as_writable_bytes(std::span(text.data(), text.size()))));
  auto manifest = decode_manifest(text);
  if (!manifest.ok()) return corrupt(path + " is damaged or not of this vsd: " + manifest.status().message());
  return manifest;
}

}  // namespace vs::storage
