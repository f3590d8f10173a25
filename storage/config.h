// What a collection is made with, and what the database is opened with.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "index/distance.h"
#include "index/limits.h"
#include "index/status.h"

namespace rocksdb {
class Env;
}

namespace vs::storage {

class FileSystem;

enum class CodeType : uint8_t { kNone, kSq8, kPca };
std::string_view code_type_name(CodeType type);
std::optional<CodeType> code_type_from_name(std::string_view name);

struct CollectionConfig {
  uint32_t dim = 0;
  Metric metric = Metric::kL2;
  uint32_t m = limits::kMDefault;  // links a layer; layer 0 has 2m
  uint32_t ef_construction = limits::kEfConstructionDefault;
  double ml = 0;  // level multiplier; 0 asks for 1/ln(m)
  uint32_t ef_search = limits::kEfSearchDefault;
  std::optional<uint64_t> seed;   // of the levels; none asks for a random one
  std::optional<CodeType> codes;  // that searches read instead of vectors; none asks for the default
};

// Checks all ranges and fills in ml and seed. Errors: kBadArgument, which names the field, its range and what came.
Result<CollectionConfig> complete_config(CollectionConfig config);

enum class Durability : uint8_t {
  kAlways,    // acknowledged = synced to disk
  kInterval,  // synced once a second: a power failure may take the last second, a killed process nothing
  kNone,      // synced when the system likes
};
std::string_view durability_name(Durability durability);
std::optional<Durability> durability_from_name(std::string_view name);

struct DatabaseOptions {
  std::string directory;
  Durability durability = Durability::kAlways;
  unsigned threads = 0;  // that link new points; 0: as many as the machine has cores
  // Writes stop with kNoSpace below this. By default 5 % of the file system's size, at most 256 MiB.
  static constexpr uint64_t kReserveOfFileSystem = ~uint64_t{0};
  uint64_t free_space_reserve_bytes = kReserveOfFileSystem;
  // A checkpoint when the replay of what came since the last one would take about so long, as far as linking it took …
  uint32_t replay_budget_s = 10;
  uint32_t checkpoint_operations = 1'000'000;  // … or after so many operations of a collection …
  uint32_t checkpoint_interval_s = 300;        // … or so long after the first one since the last checkpoint
  uint32_t trimmed_at_once = 1000;             // records, of about 4 µs, while which writes wait; at least 2
  // A collection is due for compaction when so many percent of its slots are held by deleted and replaced points; 0: never.
  uint32_t compact_at_percent = 25;
  unsigned rebuild_threads = 0;  // that link in a rebuild; 0: half of `threads`
  // Links and codes are locked in memory; else the system may take their pages for what was read last.
  bool lock_hot_files = false;
  // What stands between the database and the disk; null for the real one. Tests put a disk there that fails or loses
  // power. Both outlive the database.
  FileSystem* file_system = nullptr;
  rocksdb::Env* store_env = nullptr;
  // Called once, from any thread, when a disk failure makes further acknowledgements impossible: the process must exit
  // and recover from what is on disk.
  std::function<void(const Status&)> on_fatal;
};

// What the options come to on a file system of that size.
uint64_t free_space_reserve(const DatabaseOptions& options, uint64_t disk_bytes);

}  // namespace vs::storage
