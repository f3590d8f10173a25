#include "cli/tune.h"

#include <algorithm>
#include <cmath>

#include "cli/interrupt.h"

namespace vs::cli {
namespace {

// Of the normal distribution, one-sided.
constexpr double kZ95 = 1.645;
// -ln(0.05)
constexpr double kRuleOfThree = 3;

Status stopped() { return {Code::kShuttingDown, "stopped"}; }

}  // namespace

RecallEstimate estimate_recall(const std::vector<double>& recalls) {
  const auto n = static_cast<double>(recalls.size());
  double sum = 0;
  for (double recall : recalls) sum += recall;
  RecallEstimate estimate;
  estimate.queries = recalls.size();
  estimate.mean = sum / n;
  double squares = 0;
  for (double recall : recalls) squares += (recall - estimate.mean) * (recall - estimate.mean);
  estimate.deviation = recalls.size() > 1 ? std::sqrt(squares / (n - 1)) : 0;
  const double low = std::min(estimate.mean - kZ95 * estimate.deviation / std::sqrt(n), 1 - kRuleOfThree / n);
  estimate.low = std::max(low, 0.0);
  return estimate;
}

uint64_t queries_at_least(double target) {
  // Less than a rounding error of the division is no query.
  return static_cast<uint64_t>(std::ceil(std::min(kRuleOfThree / (1 - target) - 1e-6, 1e18)));
}

std::optional<uint64_t> queries_needed(const RecallEstimate& estimate, double target) {
  if (estimate.mean <= target) return std::nullopt;
  const double by_deviation = std::pow(kZ95 * estimate.deviation / (estimate.mean - target), 2);
  if (by_deviation > 1e15) return std::nullopt;
  return std::max(static_cast<uint64_t>(std::ceil(by_deviation)), queries_at_least(target));
}

Result<Tuning> find_ef(uint64_t ef_min, uint64_t ef_max, double target,
                       const std::function<Result<TuneStep>(uint64_t ef)>& measure) {
  Tuning tuning;
  const auto reaches = [&](uint64_t ef) -> Result<bool> {
    VS_ASSIGN_OR_RETURN(const TuneStep step, measure(ef));
    tuning.steps.push_back(step);
    if (step.recall.low < target) return false;
    tuning.reached = step;
    return true;
  };
  uint64_t below = ef_min - 1;  // the largest that does not reach it
  for (uint64_t ef = ef_min;; ef = std::min(2 * ef, ef_max)) {
    VS_ASSIGN_OR_RETURN(const bool reached, reaches(ef));
    if (reached) break;
    below = ef;
    if (ef == ef_max) break;
  }
  while (tuning.reached && tuning.reached->ef - below > 1) {
    const uint64_t middle = below + (tuning.reached->ef - below) / 2;
    VS_ASSIGN_OR_RETURN(const bool reached, reaches(middle));
    if (!reached) below = middle;
  }
  std::sort(tuning.steps.begin(), tuning.steps.end(), [](const TuneStep& a, const TuneStep& b) { return a.ef < b.ef; });
  return tuning;
}

Result<Answers> find_truth(const Settings& settings, const TuneTask& task, bool& lost) {
  SearchRun run = run_searches(settings, task.collection, task.queries, " exact=true k=" + std::to_string(task.k),
                               task.connections, "exact search");
  lost = run.lost;
  if (!run.failed.ok()) return run.failed;
  if (Interrupt::requested()) return stopped();
  return std::move(run.answers);
}

Result<Tuning> tune_ef(const Settings& settings, const TuneTask& task, const Answers& truth, bool& lost) {
  return find_ef(task.k, limits::kEfMax, task.target, [&](uint64_t ef) -> Result<TuneStep> {
    const std::string options = " k=" + std::to_string(task.k) + " ef=" + std::to_string(ef);
    const SearchRun run =
        run_searches(settings, task.collection, task.queries, options, task.connections, "ef=" + std::to_string(ef));
    lost = run.lost;
    if (!run.failed.ok()) return run.failed;
    if (Interrupt::requested()) return stopped();
    std::vector<double> recalls;
    for (size_t query = 0; query < truth.size(); ++query) recalls.push_back(recall(truth[query], run.answers[query]));
    return TuneStep{ef, estimate_recall(recalls), static_cast<double>(truth.size()) / run.seconds,
                    percentile(run.latencies_ms, 95)};
  });
}

}  // namespace vs::cli
