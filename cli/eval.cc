#include "cli/eval.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>

#include "cli/client.h"
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
    run_.ids.resize(queries_.size());
    run_.latencies_ms.resize(queries_.size());
  }

  // Queries are handed out one by one; each has its own place in the result, so that only errors need the lock.
  void work(Client& client) {
    std::string request;
    for (size_t i = next_++; i < queries_.size() && !stopped_; i = next_++) {
      request = prefix_ + queries_[i] + options_;
      const auto start = Clock::now();
      const auto reply = client.call(request);
      run_.latencies_ms[i] = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
      if (!reply.ok()) return stop(reply.status(), reply.status().code() == Code::kIoError);
      if (!reply->status.ok()) return stop(reply->status, false);
      auto points = parse_points(reply->json);
      if (!points.ok()) return stop(points.status(), false);
      for (PointData& point : points->points) run_.ids[i].push_back(std::move(point.id));
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

Result<EvalQueries> encode_queries(const Array& file, const Scale& scale, uint64_t limit) {
  const uint64_t rows = limit == 0 ? file.rows() : std::min(limit, file.rows());
  EvalQueries queries;
  queries.vectors.reserve(rows);
  std::vector<float> vector(file.columns());
  for (uint64_t row = 0; row < rows; ++row) {
    VS_RETURN_IF_ERROR(file.read_floats(row, scale, vector));
    queries.vectors.push_back(protocol::encode_vector(vector));
  }
  return queries;
}

Result<Truth> read_truth(const Array& file, uint64_t queries, uint64_t k) {
  Truth truth(queries);
  std::vector<int64_t> row(file.columns());
  for (uint64_t query = 0; query < queries; ++query) {
    VS_RETURN_IF_ERROR(file.read_integers(query, row));
    for (uint64_t i = 0; i < k; ++i) truth[query].push_back(std::to_string(row[i]));
  }
  return truth;
}

SearchRun run_searches(const Settings& settings, const std::string& collection, const EvalQueries& queries,
                       const std::string& options, unsigned connections, const std::string& what) {
  Runner runner(settings, collection, queries, options, what);
  runner.run(connections);
  return runner.take();
}

double recall(const Truth& truth, const Truth& found) {
  uint64_t hits = 0;
  uint64_t wanted = 0;
  for (size_t query = 0; query < truth.size(); ++query) {
    const std::unordered_set<std::string> near(truth[query].begin(), truth[query].end());
    wanted += near.size();
    for (const std::string& id : found[query]) hits += near.count(id);
  }
  return wanted == 0 ? 1 : static_cast<double>(hits) / static_cast<double>(wanted);
}

double percentile(const std::vector<double>& sorted, double percent) {
  const auto rank = static_cast<size_t>(std::ceil(percent / 100 * static_cast<double>(sorted.size())));
  return sorted[std::clamp<size_t>(rank, 1, sorted.size()) - 1];
}

}  // namespace vs::cli
