// Fuzzes manifest.json of snapshots. The checksum at the end would refuse nearly all that a fuzzer makes up, so each
// input is read as it is, and once more with the checksum that belongs to it.
#include <set>

#include "index/limits.h"
#include "storage/checksum.h"
#include "storage/manifest.h"
#include "tests/fuzz/fuzz.h"

namespace vs::fuzz {
namespace {

using namespace storage;

void check_manifest(const Manifest& manifest) {
  VS_CHECK(validate_tag(manifest.tag).ok());
  std::set<std::string> paths;
  uint64_t bytes = 0;
  for (const Manifest::FileEntry& file : manifest.files) {
    // Restored below another directory, none of them leaves it.
    const std::string_view name = std::string_view(file.path).substr(std::string_view("rocksdb/").size());
    VS_CHECK(file.path.starts_with("rocksdb/") && !name.empty() && !name.starts_with('.'));
    VS_CHECK(name.find('/') == std::string_view::npos && !has_control_characters(name));
    VS_CHECK(file.checksum.size() == kChecksumDigits);
    VS_CHECK(paths.insert(file.path).second);
    bytes += file.bytes;
    VS_CHECK(bytes <= INT64_MAX);
  }
  VS_CHECK(paths.contains("rocksdb/CURRENT") && manifest.bytes() == bytes);
  for (const Manifest::Collection& collection : manifest.collections) {
    VS_CHECK(!collection.name.empty() && collection.name.size() <= limits::kCollectionNameBytes);
    VS_CHECK(collection.dim <= limits::kDimMax && collection.points <= UINT32_MAX);
  }
  const std::string text = encode_manifest(manifest);
  const auto again = decode_manifest(text);
  VS_CHECK(again.ok() && encode_manifest(*again) == text);
}

void check_text(std::string_view text) {
  const auto manifest = decode_manifest(text);
  if (manifest.ok()) return check_manifest(*manifest);
  VS_CHECK(manifest.status().code() == Code::kCorrupt && !has_control_characters(manifest.status().message()));
}

}  // namespace
}  // namespace vs::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs::fuzz;
  const std::string_view text = text_of(data, size);
  check_text(text);
  const size_t end = text.rfind(",\n \"checksum\": \"");
  if (end == std::string_view::npos) return 0;
  const std::string sealed(text.substr(0, end));
  check_text(sealed + ",\n \"checksum\": \"" + vs::storage::checksum_of(sealed) + "\"\n}\n");
  return 0;
}
