#include "cli/verify.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "cli/interrupt.h"
#include "cli/job.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

constexpr size_t kQueries = 100;  // of a collection

std::string text_of(const ordered_json& object, const char* name) {
  return object.is_object() ? cell_text(object.value(name, ordered_json()), false) : "";
}

// How far a vector is from itself, by this metric.
double own_distance(const std::string& metric, const ordered_json& vector) {
  if (metric != "dot") return 0;
  double sum = 0;
  for (const ordered_json& x : vector) sum += x.get<double>() * x.get<double>();
  return -sum;
}

class Verification {
 public:
  explicit Verification(Context& daemon) : daemon_(daemon) {}

  // False when a request failed; exit() has the code then.
  bool run(const ordered_json& manifest) {
    const auto reply = ask("LIST");
    if (!reply) return false;
    ordered_json listed = ordered_json::object();
    for (const ordered_json& collection : reply->value("collections", ordered_json::array()))
      listed[text_of(collection, "name")] = collection;
    for (const ordered_json& expected : manifest.value("collections", ordered_json::array())) {
      const std::string name = text_of(expected, "name");
      const ordered_json found = listed.value(name, ordered_json());
      listed.erase(name);
      if (!found.is_object() || found.contains("error")) {
        note(name, "missing", found.is_object() ? text_of(found, "error") : "the restored database does not have it");
        continue;
      }
      if (!look_at(name, expected, found)) return false;
    }
    for (const auto& [name, unused] : listed.items()) note(name, "surplus", "the manifest does not name it");
    return true;
  }

  ordered_json collections = ordered_json::array();
  ordered_json problems = ordered_json::array();
  Exit exit() const { return exit_; }

 private:
  void note(const std::string& collection, const std::string& kind, const std::string& detail) {
    problems.push_back({{"collection", collection}, {"kind", kind}, {"detail", detail}});
  }

  std::optional<ordered_json> ask(const std::string& request) {
    if (Interrupt::requested()) {
      daemon_.note("stopped");
      exit_ = Exit::kFailure;
      return std::nullopt;
    }
    const auto reply = daemon_.call(request);
    if (!reply) {
      exit_ = daemon_.exit();
      return std::nullopt;
    }
    return parse_json(*reply);
  }

  bool look_at(const std::string& name, const ordered_json& expected, const ordered_json& found) {
    for (const char* field : {"dim", "metric"}) {
      if (expected.value(field, ordered_json()) != found.value(field, ordered_json()))
        note(name, field, text_of(found, field) + ", expected was " + text_of(expected, field));
    }
    const ordered_json points = expected.value("points", ordered_json());
    if (points != found.value("live", ordered_json()))
      note(name, "points", text_of(found, "live") + " points, expected were " + text_of(expected, "points"));
    ordered_json result = {{"collection", name}, {"points", found.value("live", ordered_json())}, {"expected", points}};
    if (!check(name, result)) return false;
    std::vector<std::string> sample;
    if (!scan(name, points, sample) || !query(name, text_of(found, "metric"), sample, result)) return false;
    collections.push_back(std::move(result));
    return true;
  }

  bool check(const std::string& name, ordered_json& result) {
    const auto job = run_job(daemon_, "CHECK " + name + " deep=true", "checking " + name, exit_);
    if (!job) return false;
    if (job->state != "done") {
      exit_ = job->state == "failed" ? daemon_.fail(job_error(*job)) : Exit::kFailure;
      return false;
    }
    result["check"] = job->result.value("clean", false) ? "clean" : "damaged";
    result["recall"] = job->result.value("recall", ordered_json());
    for (const ordered_json& problem : job->result.value("problems", ordered_json::array()))
      note(name, text_of(problem, "kind"), text_of(problem, "detail"));
    return true;
  }

  // Every point once; a sample of their ids.
  bool scan(const std::string& name, const ordered_json& expected, std::vector<std::string>& sample) {
    std::mt19937_64 random(1);
    uint64_t seen = 0;
    ordered_json cursor = "";
    while (cursor.is_string()) {
      const std::string at = cursor.get_ref<const std::string&>().empty()
                                 ? ""
                                 : " cursor=" + protocol::quote_word(cursor.get<std::string>());
      const auto page = ask("SCAN " + name + " limit=" + std::to_string(limits::kScanLimitMax) + at);
      if (!page) return false;
      for (const ordered_json& point : page->value("points", ordered_json::array())) {
        // Reservoir sampling: each is in the sample with the same chance (Vitter, algorithm R).
        const uint64_t place = seen < kQueries ? seen : std::uniform_int_distribution<uint64_t>(0, seen)(random);
        ++seen;
        if (place >= kQueries) continue;
        sample.resize(std::max<size_t>(sample.size(), place + 1));
        sample[place] = text_of(point, "id");
      }
      cursor = page->value("cursor", ordered_json());
    }
    if (expected != seen)
      note(name, "scan", "a scan finds " + std::to_string(seen) + " points, expected were " + expected.dump());
    return true;
  }

  // Each point is asked for by its own vector. A search through the graph may miss some, which is counted; one that
  // compares all must not.
  bool query(const std::string& name, const std::string& metric, const std::vector<std::string>& sample,
             ordered_json& result) {
    uint64_t found = 0;
    for (const std::string& id : sample) {
      const auto point = ask("GET " + name + " " + protocol::quote_word(id) + " with=vector");
      if (!point) return false;
      const ordered_json vector = point->value("vector", ordered_json::array());
      const double own = own_distance(metric, vector);
      const auto near = search(name, id, vector, own, "");
      if (!near) return false;
      if (*near) {
        ++found;
        continue;
      }
      const auto exact = search(name, id, vector, own, " exact=true");
      if (!exact) return false;
      if (!*exact) note(name, "query", "a search with the vector of '" + id + "' does not find it");
    }
    result["queried"] = sample.size();
    result["found"] = found;
    return true;
  }

  // Whether it finds the point, or another one that is as near.
  std::optional<bool> search(const std::string& name, const std::string& id, const ordered_json& vector, double own,
                             const std::string& options) {
    const auto reply = ask("SEARCH " + name + " " + vector.dump() + " k=10" + options);
    if (!reply) return std::nullopt;
    const double limit = own + 1e-4 * std::max(1.0, std::abs(own));
    for (const ordered_json& match : reply->value("matches", ordered_json::array())) {
      const ordered_json distance = match.value("distance", ordered_json());
      if (text_of(match, "id") == id || (distance.is_number() && distance.get<double>() <= limit)) return true;
    }
    return false;
  }

  Context& daemon_;
  Exit exit_ = Exit::kOk;
};

}  // namespace

std::optional<ordered_json> verify_restored(Context& daemon, const ordered_json& manifest, Exit& exit) {
  Verification verification(daemon);
  if (!verification.run(manifest)) {
    exit = verification.exit();
    return std::nullopt;
  }
  return ordered_json{{"tag", manifest.value("tag", ordered_json())},
                      {"time", manifest.value("time", ordered_json())},
                      {"clean", verification.problems.empty()},
                      {"problems", std::move(verification.problems)},
                      {"collections", std::move(verification.collections)}};
}

}  // namespace vs::cli
