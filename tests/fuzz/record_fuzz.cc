// Fuzzes the binary values in RocksDB: operations of the log, LSNs, keys. The input begins with a byte that picks the
// dimension.
#include <array>

#include "storage/record.h"
#include "tests/fuzz/fuzz.h"

namespace vs::fuzz {
namespace {

using namespace storage;

constexpr std::array<uint32_t, 8> kDimensions = {1, 2, 3, 4, 16, 255, 784, limits::kDimMax};

void check_record(std::string_view value, uint32_t dim) {
  const auto record = decode_record(value, dim);
  if (!record.ok()) {
    VS_CHECK(record.status().code() == Code::kCorrupt);
    return;
  }
  for (const std::string_view part : {record->id, record->vector, record->attributes}) {
    VS_CHECK(lies_within(part, value));
  }
  VS_CHECK(!record->id.empty() && record->id.size() <= limits::kIdBytes);
  const bool upsert = record->kind == Record::Kind::kUpsert;
  VS_CHECK(upsert || record->kind == Record::Kind::kDelete);
  VS_CHECK(decode_vector(record->vector).size() == (upsert ? dim : 0));
  VS_CHECK(upsert || record->attributes.empty());
  // There is one encoding of each record, so no two values mean the same.
  VS_CHECK(encode_record(*record) == value);
}

void check_lsn(std::string_view value) {
  const auto lsn = decode_lsn(value);
  VS_CHECK(lsn.ok() == (value.size() == sizeof(uint64_t)));
  if (lsn.ok()) VS_CHECK(encode_lsn(*lsn) == value);
}

// The order of keys as bytes is what RocksDB iterates in: by collection, then by LSN.
void check_keys(Input input) {
  const auto take = [&] {
    // The number above the last one has to exist, as the end of the last one's keys.
    const CollectionNumber number{std::min(input.take<uint32_t>(), UINT32_MAX - 1)};
    return std::pair(number, Lsn{input.take<uint64_t>()});
  };
  const auto a = take();
  const auto b = take();
  const std::string key_a = record_key(a.first, a.second);
  const std::string key_b = record_key(b.first, b.second);
  VS_CHECK(record_key_lsn(key_a).value == a.second.value);
  const auto number = [](const auto& pair) { return std::pair(static_cast<uint32_t>(pair.first), pair.second.value); };
  VS_CHECK((number(a) < number(b)) == (key_a < key_b));
  for (const std::string& key : {key_a, id_key(a.first, input.rest())}) {
    VS_CHECK(collection_key_begin(a.first) <= key && key < collection_key_end(a.first));
  }
}

}  // namespace
}  // namespace vs::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs::fuzz;
  Input input(data, size);
  const uint32_t dim = kDimensions[input.take<uint8_t>() % kDimensions.size()];
  check_record(input.rest(), dim);
  check_lsn(input.rest());
  check_keys(input);
  return 0;
}
