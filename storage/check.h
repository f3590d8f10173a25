// Checking a collection against RocksDB, and repairing it: what a check looks at, what it reports. checker.cc has the
// looking, repair.cc the repairs of an open collection, check_directory.cc the check of a directory that nobody has open.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "index/status.h"

namespace vs::storage {

// How far a long operation has come; read and cancelled from other threads.
struct Progress {
  std::atomic<uint64_t> done{0};
  std::atomic<uint64_t> total{0};
  std::atomic<bool> cancelled{false};
};

struct CheckOptions {
  // Also reads every vector and record: they must be equal, finite and, for cosine, of unit length; and measures recall.
  bool deep = false;
  // Mends what it finds. Writes wait meanwhile, searches go on.
  bool repair = false;
};

struct Problem {
  // file     a mapped file's header or size
  // row      rows.dat: out of order, beyond the log, or an id that is not RocksDB's
  // liveness a point of RocksDB that searches do not find, or the reverse
  // log      a gap in the operations behind the checkpoint, or one that cannot be read
  // link     out of range, to itself, or to a node that is not on that layer
  // reach    a live point that no way leads to on layer 0
  // vector   (deep) differs from RocksDB's, not finite, or not of unit length
  // record   (deep) of an operation that was replaced, but not removed
  // recall   (deep) too many points do not find themselves
  // open     the collection could not be opened
  // rocksdb  RocksDB could not read what it holds
  std::string kind;
  std::string detail;
};

struct CheckReport {
  static constexpr size_t kProblemsMax = 100;

  std::vector<Problem> problems;  // the first kProblemsMax; after a repair, those that remain
  uint64_t problems_found = 0;    // all of them, before a repair
  uint64_t problems_left = 0;     // after it; without one the same number
  uint64_t repaired = 0;          // points, lists and files that were mended
  bool rebuilt = false;           // the repair built a new generation from RocksDB
  uint64_t points = 0;            // live
  uint64_t slots = 0;
  uint64_t operations_to_replay = 0;  // of a directory that was not closed: the next start replays them
  // deep: recall@10 of a sample of the points as queries, against exact search, with the collection's ef_search.
  std::optional<double> recall;

  bool clean() const { return problems_left == 0; }
  // Of a collection that cannot be looked at for this reason.
  static CheckReport impossible(std::string kind, std::string why) {
    CheckReport report;
    report.problems.push_back({std::move(kind), std::move(why)});
    report.problems_found = report.problems_left = 1;
    return report;
  }
};

// Checks a data directory that no vsd has open, and writes nothing into it. `visit` gets each collection's name and
// report. Errors: kBusy (a vsd has it), kCorrupt, kIoError, kNotFound.
Status check_directory(const std::string& directory, const CheckOptions& options, Progress& progress,
                       const std::function<void(const std::string& name, const CheckReport&)>& visit);

}  // namespace vs::storage
