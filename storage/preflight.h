// What is looked at before anything in a data directory is changed: a directory that is refused stays as it is.
#pragma once

#include <string>

#include "storage/file_system.h"
#include "storage/store.h"

namespace vs::storage {

// Of the files in the data directory. Another version is refused.
inline constexpr std::string_view kFormatVersion = "1";

// How the last run ended, from the key "open" of family `meta`: it holds the durability of a run that has not closed the
// database.
struct LastRun {
  bool clean = true;     // it closed the database, or there was none
  bool relaxed = false;  // it did not sync each operation
};
Result<LastRun> last_run(const Store& store);

// Errors: kCorrupt when a restore into the directory or the copying of a snapshot to it did not end, when it is of another format version, when RocksDB is missing or cannot be read, or when
// acknowledged operations are lost: the mapped files know more than the log. The message says what to do.
Status preflight(FileSystem& file_system, rocksdb::Env* env, const std::string& directory);

}  // namespace vs::storage
