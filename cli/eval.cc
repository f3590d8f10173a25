#include "cli/eval.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>

#include "cli/client.h"
#include "cli/context.h"
#include "cli/interrupt.h"
#include "cli/points.h"
#include "cli/progress.h"
#include "cli/threads.h"

namespace vs::cli {
namespace {

using Clock = std::chrono::steady_clock;

class Runner {
 public:
  Runner(const Settings& settings, const std::string& collection, const EvalQueries& queries,
         const std::string& options, const std::string& what)
      : settings_(settings),
        prefix_("SEARCH " + collection + " "),
        queries_(queries.vectors),
        options_(options),
        progress_(what, "queries", queries_.size()) {
    run_.answers.resize(queries_.size());
    run_.latencies_ms.resize(queries_.size());
  }

  // Queries are handed out one by one; each has its own place in the result, so that only errors need the lock.
  void work(Client& client) {
    std::string request;
    for (size_t i = next_++; i < queries_.size() && !stopped_ && !Interrupt::requested(); i = next_++) {
      request = prefix_ + queries_[i] + options_;
      const auto start = Clock::now();
      const auto reply = client.call(request);
      run_.latencies_ms[i] = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
      if (!reply.ok()) return stop(reply.status(), reply.status().code() == Code::kIoError);
      if (!reply->status.ok()) return stop(reply->status, false);
      auto points = parse_points(reply->json);
      if (!points.ok()) return stop(points.status(), false);
      for (PointData& point : points->points) {
        run_.answers[i].ids.push_back(std::move(point.id));
        run_.answers[i].distances.push_back(point.distance);
      }
      progress_.advance(1);
    }
  }

  void run(unsigned connections) {
    std::vector<Client> clients;
    clients.reserve(connections);
    for (unsigned i = 0; i < connections; ++i) {
      auto client = Client::connect(settings_);
      if (!client.ok()) return stop(client.status(), client.status().code() == Code::kIoError);
      clients.push_back(*std::move(client));
    }
    const auto start = Clock::now();
    run_threads(
        clients.size(), [this, &clients](size_t i) { work(clients[i]); },
        [this](const Status& status) { stop(status, false); });
    run_.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    std::sort(run_.latencies_ms.begin(), run_.latencies_ms.end());
  }

  SearchRun take() { return std::move(run_); }

 private:
  void stop(const Status& status, bool lost) {
    const std::lock_guard lock(mutex_);
    if (run_.failed.ok()) {
      run_.failed = status;
      run_.lost = lost;
    }
    stopped_ = true;
  }

  const Settings& settings_;
  const std::string prefix_;
  const std::vector<std::string>& queries_;
  const std::string& options_;
  Progress progress_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;  // of run_.failed and run_.lost
  SearchRun run_;
};

}  // namespace

Status check_queries(const std::string& name, const nlohmann::ordered_json& stats, const Array& file) {
  const auto field = [&](const char* key) {
    return stats.is_object() ? cell_text(stats.value(key, nlohmann::ordered_json()), false) : "";
  };
  if (field("dim") != std::to_string(file.columns()))
    return {Code::kDimensionMismatch, file.path() + ": expected rows of " + field("dim") +
                                          " numbers as in the collection; got " + std::to_string(file.columns())};
  if (file.rows() == 0) return {Code::kBadRequest, file.path() + ": expected rows; it has none"};
  if (field("live") == "0")
    return {Code::kBadRequest,
            "'" + name + "' has no points, so there is nothing to find; add some with `vsctl import` first"};
  return {};
}

Result<EvalQueries> encode_queries(const Array& file, const Scale& scale, uint64_t limit, Rows which) {
  const uint64_t rows = limit == 0 ? file.rows() : std::min(limit, file.rows());
  EvalQueries queries;
  queries.vectors.reserve(rows);
  std::vector<float> vector(file.columns());
  for (uint64_t i = 0; i < rows; ++i) {
    // Rounded down in parts, as the product of two counts may be too large.
    const uint64_t row = which == Rows::kFirst ? i : i * (file.rows() / rows) + i * (file.rows() % rows) / rows;
    VS_RETURN_IF_ERROR(file.read_floats(row, scale, vector));
    queries.vectors.push_back(protocol::encode_vector(vector));
  }
  return queries;
}

Result<Answers> read_truth(const Array& file, uint64_t queries, uint64_t k) {
  Answers truth(queries);
  std::vector<int64_t> row(file.columns());
  for (uint64_t query = 0; query < queries; ++query) {
    VS_RETURN_IF_ERROR(file.read_integers(query, row));
    for (uint64_t i = 0; i < k; ++i) truth[query].ids.push_back(std::to_string(row[i]));
  }
  return truth;
}

SearchRun run_searches(const Settings& settings, const std::string& collection, const EvalQueries& queries,
                       const std::string& options, unsigned connections, const std::string& what) {
  Runner runner(settings, collection, queries, options, what);
  runner.run(connections);
  return runner.take();
}

double recall(const Answer& truth, const Answer& found) {
  if (truth.ids.empty()) return 1;
  const std::unordered_set<std::string> near(truth.ids.begin(), truth.ids.end());
  const auto as_near = [&](size_t i) {
    return !truth.distances.empty() && i < found.distances.size() && found.distances[i] <= truth.distances.back();
  };
  uint64_t hits = 0;
  for (size_t i = 0; i < found.ids.size(); ++i) hits += as_near(i) || near.count(found.ids[i]) > 0;
  return std::min(1.0, static_cast<double>(hits) / static_cast<double>(near.size()));
}

double recall(const Answers& truth, const Answers& found) {
  double sum = 0;
  for (size_t query = 0; query < truth.size(); ++query) sum += recall(truth[query], found[query]);
  return sum / static_cast<double>(truth.size());
}

double percentile(const std::vector<double>& sorted, double percent) {
  const auto rank = static_cast<size_t>(std::ceil(percent / 100 * static_cast<double>(sorted.size())));
  return sorted[std::clamp<size_t>(rank, 1, sorted.size()) - 1];
}

}  // namespace vs::cli
