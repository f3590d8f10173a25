// Recall and speed of searches, measured over real connections.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "cli/array.h"
#include "cli/settings.h"

namespace vs::cli {

struct EvalQueries {
  std::vector<std::string> vectors;  // encoded for SEARCH
};
// The first `limit` rows (0: all). Errors: kIoError.
Result<EvalQueries> encode_queries(const Array& file, const Scale& scale, uint64_t limit);

// For each query the ids of its k nearest points.
using Truth = std::vector<std::vector<std::string>>;
// From an array of row numbers, which are ids. REQUIRES: at least `queries` rows and k columns. Errors: kIoError.
Result<Truth> read_truth(const Array& file, uint64_t queries, uint64_t k);

struct SearchRun {
  Truth ids;                         // what each search returned
  std::vector<double> latencies_ms;  // sorted
  double seconds = 0;
  Status failed;      // the first error, if any
  bool lost = false;  // it was the connection's
};
// Runs every query once: `options` is appended to each request (" k=10 ef=64"). Each connection waits for a reply
// before its next request. `what` names the run in the progress bar.
SearchRun run_searches(const Settings& settings, const std::string& collection, const EvalQueries& queries,
                       const std::string& options, unsigned connections, const std::string& what);

// The part of all true neighbours that were found, 0..1. REQUIRES: as many lists in both.
double recall(const Truth& truth, const Truth& found);
// Nearest rank. REQUIRES: `sorted` is not empty, 0 < percent <= 100.
double percentile(const std::vector<double>& sorted, double percent);

}  // namespace vs::cli
