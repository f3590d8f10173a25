// The smallest ef that reaches a recall, with what a sample of queries can say about all queries.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/eval.h"

namespace vs::cli {

// The mean recall of all queries of the kind that the sample is of.
struct RecallEstimate {
  double mean = 0;  // of the sample
  // With 95% confidence it is above this: mean - 1.645 s / sqrt(n), where s is the standard deviation of the n queries'
  // recalls, each of which counts as one observation, as the neighbours of one query are found or missed together; and
  // never above 1 - 3/n, since of a sample without a miss s is 0 ("rule of three": what befalls one in n/3 is missing
  // from one sample of n in twenty).
  double low = 0;
  double deviation = 0;  // s
  uint64_t queries = 0;  // n
};
// REQUIRES: not empty.
RecallEstimate estimate_recall(const std::vector<double>& recalls);
// Fewer queries cannot reach the target, whatever they show. REQUIRES: target < 1.
uint64_t queries_at_least(double target);
// About how many queries it takes until `low` reaches the target, if more of them are like these; nullopt if the mean does
// not. REQUIRES: target < 1.
std::optional<uint64_t> queries_needed(const RecallEstimate& estimate, double target);

struct TuneStep {
  uint64_t ef = 0;
  RecallEstimate recall;
  double qps = 0;
  double p95_ms = 0;
};
struct Tuning {
  std::vector<TuneStep> steps;      // by ef
  std::optional<TuneStep> reached;  // the smallest ef whose `low` is the target or more
  const TuneStep& best() const { return reached ? *reached : steps.back(); }
};
// Doubles ef from `ef_min` on until the target is reached, and halves the interval then. REQUIRES: ef_min <= ef_max.
// Errors: those of `measure`.
Result<Tuning> find_ef(uint64_t ef_min, uint64_t ef_max, double target,
                       const std::function<Result<TuneStep>(uint64_t ef)>& measure);

struct TuneTask {
  std::string collection;
  const EvalQueries& queries;
  uint64_t k = 0;
  double target = 0;
  unsigned connections = 1;
};
// On a daemon. `lost` is set when an error was the connection's. Errors: also kShuttingDown (an interrupt was requested).
// REQUIRES: an Interrupt lives.
Result<Answers> find_truth(const Settings& settings, const TuneTask& task, bool& lost);
Result<Tuning> tune_ef(const Settings& settings, const TuneTask& task, const Answers& truth, bool& lost);

}  // namespace vs::cli
