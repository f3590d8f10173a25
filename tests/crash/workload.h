// Writes to a database, and an oracle that knows what may be in it after a crash.
//
// One thread sends all requests, so a collection's operations become durable in the order in which they were sent, and
// what a crash leaves is the outcome of a first part of them: at least up to the last acknowledged one when every
// operation is synced, of any length otherwise. That is stronger than what is promised, and as strong as what is built.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "storage/collection.h"
#include "storage/database.h"

namespace vs::crash {

// What a collection was sent, in order.
struct History {
  struct Operation {
    std::map<std::string, std::optional<int>> changes;  // by id: its new version, nullopt for a delete
  };
  std::vector<Operation> operations;
  size_t acknowledged = 0;  // that many are, counted from the first
  // Of the requests that made and dropped it.
  bool created = false;
  bool drop_sent = false;
};

struct Oracle {
  std::map<std::string, History> collections;  // by name; no name is used twice
  std::set<std::string> snapshots;             // that were acknowledged
};
// For another process.
std::string to_text(const Oracle& oracle);
Oracle oracle_from(const std::string& text);

class Workload {
 public:
  struct Options {
    uint64_t seed = 1;
    int steps = 14;
  };
  // `open` opens the database as the test wants it; called again after each close.
  using Open = std::function<Result<std::unique_ptr<storage::Database>>()>;
  Workload(const Options& options, Open open) : options_(options), open_(std::move(open)), random_(options.seed) {}

  // Runs to its end or to the first error, which it returns. Goes on after kNoSpace: what was refused was not done.
  Status run();
  // What was sent and acknowledged up to now; from any thread.
  Oracle oracle() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return oracle_;
  }

 private:
  Status step();
  Status create();
  Status drop();
  Status make_snapshot();
  Status write(const std::string& name, int requests);
  void answered(const std::string& name, size_t number, const Status& status);
  int below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

  const Options options_;
  const Open open_;
  std::mt19937_64 random_;
  std::vector<std::string> names_;
  int names_given_ = 0;
  int versions_ = 0;
  mutable std::mutex mutex_;
  Oracle oracle_;
  // Goes first: a failure while it closes asks for the oracle.
  std::unique_ptr<storage::Database> database_;
};

// A new directory, in a memory file system where there is one.
std::string work_directory();
// For a database in `directory` on `disk`.
class SimulatedDisk;
storage::DatabaseOptions database_options(const std::string& directory, SimulatedDisk& disk,
                                          storage::Durability durability, unsigned threads);

inline constexpr uint32_t kDim = 8;
std::vector<float> vector_of(int version);

struct Verdict {
  std::string problem;  // empty: all is well
  uint64_t searched = 0;
  uint64_t missed = 0;  // points that a search with their own vector did not find
};
// Compares what `database` holds with what may be there; `exact` demands the acknowledged part (durability=always).
// Then checks every collection deeply.
Verdict verify(storage::Database& database, const Oracle& oracle, bool exact);

}  // namespace vs::crash
