// What stands in RocksDB: keys and values of the families. docs/format.md has the tables.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "index/codes.h"
#include "index/types.h"
#include "storage/config.h"
#include "storage/mapped_file.h"

namespace vs::storage {

enum class CollectionNumber : uint32_t {};

// One operation of the log, family `records`.
struct Record {
  enum class Kind : uint8_t { kUpsert = 1, kDelete = 2 };
  Kind kind = Kind::kUpsert;
  Lsn previous;  // LSN of the record that this one supersedes; 0 for none
  std::string_view id;
  std::string_view vector;  // dim little-endian float32, as given; empty for kDelete
  std::string_view attributes;
};

// Key in `records`: big-endian, so that a collection's log is contiguous and in order.
std::string record_key(CollectionNumber collection, Lsn lsn);
// REQUIRES: `key` came from record_key (its length was checked).
Lsn record_key_lsn(std::string_view key);
std::string id_key(CollectionNumber collection, std::string_view id);
// The first key behind all of the collection's in `records` and `ids`.
std::string collection_key_end(CollectionNumber collection);
inline std::string collection_key_begin(CollectionNumber collection) { return id_key(collection, {}); }

std::string encode_record(const Record& record);
// Views into `value`. Errors: kCorrupt.
Result<Record> decode_record(std::string_view value, uint32_t dim);

std::string encode_lsn(Lsn lsn);
Result<Lsn> decode_lsn(std::string_view value);

std::vector<float> decode_vector(std::string_view bytes);

// The value of family `collections`, a JSON object under the collection's name.
struct CollectionInfo {
  CollectionNumber number{};
  Uuid uuid{};
  CollectionConfig config;
  uint64_t generation = 1;
  // The checkpoint: the mapped files on disk hold all operations up to `checkpoint_lsn`, in their first `slots` slots.
  Lsn checkpoint_lsn;
  uint32_t slots = 0;
  std::optional<CodeState> codes;  // of the codes of these slots; none: they are not to be trusted
};
std::string encode_info(const CollectionInfo& info);
Result<CollectionInfo> decode_info(std::string_view name, std::string_view value);

}  // namespace vs::storage
