// The requests and replies of a collection, as the daemon sees them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "index/codes.h"
#include "index/types.h"
#include "storage/config.h"

namespace vs::storage {

struct AddRequest {
  enum class If : uint8_t { kAlways, kAbsent, kPresent };
  std::string id;             // valid by protocol::validate_id
  std::vector<float> vector;  // dim floats
  std::string attributes;     // text of a JSON object, or empty for none
  If condition = If::kAlways;
};
struct AddReply {
  Lsn lsn;
  bool created = false;  // false: an existing point was replaced
};
// kExists / kNotFound when the condition does not hold; kDimensionMismatch, kNotFinite, kZeroVector, kNoSpace, kLimit,
// kShuttingDown, kIoError, kNotFound (the collection was dropped meanwhile).
using AddDone = std::function<void(Result<AddReply>)>;

struct DeleteReply {
  uint64_t deleted = 0;
  std::vector<std::string> missing;  // in the order asked
};
using DeleteDone = std::function<void(Result<DeleteReply>)>;

struct Point {
  std::string id;
  std::string attributes;                       // text of a JSON object; empty unless asked for, "{}" for none
  std::vector<float> vector;                    // as it was given; empty unless asked for
  std::vector<std::vector<std::string>> links;  // a list for each layer from 0 up; empty unless asked for
};

struct With {
  bool attributes = false;
  bool vector = false;
  bool links = false;  // SCAN only
};

struct SearchRequest {
  std::vector<float> vector;      // dim floats; empty when `id` is given
  std::optional<std::string> id;  // query by the vector of this point, which is left out of the matches
  uint32_t k = limits::kKDefault;
  uint32_t ef = 0;  // 0: the collection's ef_search; raised to k
  bool exact = false;
  std::optional<float> radius;  // only matches at this distance or nearer
  With with;
};
struct Match {
  Point point;
  float distance = 0;  // the user's form: root taken for l2, 1-cos, -dot
};
struct SearchReply {
  std::vector<Match> matches;  // nearest first, ties by insertion order
  // What the search did, for explain.
  uint32_t ef = 0;
  bool exact = false;             // all live points were compared
  bool fell_back = false;         // and that was not asked for: the graph gave too few
  uint64_t distances = 0;         // computed
  uint64_t from_short_codes = 0;  // of them
  uint64_t from_codes = 0;        // of them; all others are from floats
  std::vector<uint32_t> hops;     // nodes expanded on each layer, 0 first; empty for an exact search
  std::string entry_point;        // id of the node where it began; empty if none or if that point is deleted
};

struct ScanRequest {
  Lsn after{0};  // points whose LSN is greater, in the order of their LSNs
  uint32_t limit = limits::kScanLimitDefault;
  With with;
};
struct ScanReply {
  std::vector<Point> points;
  std::optional<Lsn> next;  // `after` of the next page; none at the end
};

struct CollectionStats {
  CollectionConfig config;
  uint64_t live = 0;
  uint64_t deleted = 0;          // slots held by deleted and replaced points
  std::vector<uint64_t> layers;  // live and deleted nodes whose level is at least the index
  uint64_t generation = 0;
  Lsn lsn;                                              // of the last operation that is acknowledged or about to be
  Lsn applied_lsn;                                      // all operations up to it are seen by searches and scans
  Lsn checkpoint_lsn;                                   // what a recovery would start from
  std::vector<std::pair<std::string, uint64_t>> bytes;  // size of each mapped file
  uint64_t locked_bytes = 0;                            // of them, in memory
  std::optional<CodeState> codes;                       // what searches read; none: vectors
  std::optional<PcaState> pca;                          // of short codes, when they serve
};

struct DatabaseStats {
  uint64_t commits = 0;     // groups of operations written
  uint64_t operations = 0;  // in those groups
  uint64_t syncs = 0;
  uint64_t checkpoints = 0;
  bool no_space = false;  // writes are refused for want of space on the disk
  uint64_t free_space_reserve_bytes = 0;
};

}  // namespace vs::storage
