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
// Whether a file's rows are queries for the collection `name`, which has points to find. `stats` is the daemon's reply.
// Errors: kDimensionMismatch, kBadRequest.
Status check_queries(const std::string& name, const nlohmann::ordered_json& stats, const Array& file);
enum class Rows { kFirst, kSpread };  // of more than are wanted
// `limit` rows (0: all). Errors: kIoError.
Result<EvalQueries> encode_queries(const Array& file, const Scale& scale, uint64_t limit, Rows which = Rows::kFirst);

// What a search found, nearest first.
struct Answer {
  std::vector<std::string> ids;
  std::vector<float> distances;  // empty if unknown
};
using Answers = std::vector<Answer>;  // one a query

// The true neighbours, from an array of row numbers, which are ids. REQUIRES: at least `queries` rows and k columns.
// Errors: kIoError.
Result<Answers> read_truth(const Array& file, uint64_t queries, uint64_t k);

struct SearchRun {
  Answers answers;
  std::vector<double> latencies_ms;  // sorted
  double seconds = 0;
  Status failed;      // the first error, if any
  bool lost = false;  // it was the connection's
};
// Runs every query once, until an interrupt is requested: `options` is appended to each request (" k=10 ef=64"). Each connection waits for a reply
// before its next request. `what` names the run in the progress bar.
SearchRun run_searches(const Settings& settings, const std::string& collection, const EvalQueries& queries,
                       const std::string& options, unsigned connections, const std::string& what);

// The part of a query's true neighbours that were found, 0..1. A point that is as near as the farthest of them counts as
// one of them: which of several equally far points are among the k nearest is chance.
double recall(const Answer& truth, const Answer& found);
// The mean of all queries. REQUIRES: as many in both, at least one.
double recall(const Answers& truth, const Answers& found);
// Nearest rank. REQUIRES: `sorted` is not empty, 0 < percent <= 100.
double percentile(const std::vector<double>& sorted, double percent);

}  // namespace vs::cli
