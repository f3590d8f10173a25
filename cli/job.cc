#include "cli/job.h"

#include <poll.h>

#include <algorithm>

#include "cli/interrupt.h"
#include "cli/progress.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

std::string text_of(const ordered_json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<double> number_of(const ordered_json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

Status no_jobs(std::string_view json) {
  constexpr size_t kShown = 80;
  return {Code::kBadRequest, "expected a reply with \"jobs\", got " + std::string(json.substr(0, kShown)) +
                                 "; is another program or version at this address?"};
}

void show(const ProgressLine& line, const Job& job) {
  line.draw(std::clamp(job.percent / 100, 0.0, 1.0), (job.rate ? fixed(*job.rate, 0) + "/s" : std::string("waiting")) +
                                                         (job.eta_s ? "  ETA " + short_duration(*job.eta_s) : ""));
}

// Prints the error and returns nullopt with the exit code in `exit`.
std::optional<Job> look(Context& context, const std::string& request, Exit& exit) {
  const auto reply = context.call(request);
  if (!reply) {
    exit = context.exit();
    return std::nullopt;
  }
  auto jobs = parse_jobs(*reply);
  if (jobs.ok() && jobs->size() != 1) jobs = no_jobs(*reply);
  if (jobs.ok()) return std::move(jobs->front());
  exit = context.fail(jobs.status());
  return std::nullopt;
}

std::optional<Job> wait_for(Context& context, uint64_t number, const std::string& what, Exit& exit) {
  // Short at first, so that a small job is not waited for longer than it takes.
  constexpr int kFirstWaitMs = 5;
  constexpr int kWaitMs = 200;
  const std::string text = std::to_string(number);
  const ProgressLine line(what);
  bool cancelling = false;
  for (int wait_ms = kFirstWaitMs;; wait_ms = std::min(2 * wait_ms, kWaitMs)) {
    if (Interrupt::requested() && !cancelling) {
      cancelling = true;
      context.note("cancelling job " + text + " on the server; Ctrl-C again to leave it");
      // It may have ended meanwhile, which JOBS then shows.
      if (!context.try_call("CANCEL " + text)) {
        exit = context.exit();
        return std::nullopt;
      }
    }
    auto job = look(context, "JOBS " + text, exit);
    if (!job || !job->running()) return job;
    show(line, *job);
    ::poll(nullptr, 0, wait_ms);
  }
}

}  // namespace

Result<std::vector<Job>> parse_jobs(std::string_view json) {
  const ordered_json reply = parse_json(json);
  if (!reply.is_object() || !reply.contains("jobs") || !reply["jobs"].is_array()) return no_jobs(json);
  std::vector<Job> jobs;
  for (const ordered_json& entry : reply["jobs"]) {
    if (!entry.is_object() || !entry.contains("job") || !entry["job"].is_number_unsigned()) return no_jobs(json);
    jobs.push_back({.number = entry["job"].get<uint64_t>(),
                    .collection = text_of(entry, "collection"),
                    .state = text_of(entry, "state"),
                    .percent = number_of(entry, "percent").value_or(0),
                    .rate = number_of(entry, "rate"),
                    .eta_s = number_of(entry, "eta_s"),
                    .result = entry.value("result", ordered_json())});
  }
  return jobs;
}

std::optional<Job> run_job(Context& context, const std::string& request, const std::string& what, Exit& exit) {
  const auto reply = context.call(request);
  if (!reply) {
    exit = context.exit();
    return std::nullopt;
  }
  const ordered_json json = parse_json(*reply);
  if (!json.is_object() || !json.contains("job") || !json["job"].is_number_unsigned()) {
    exit = context.fail({Code::kBadRequest, "expected a reply with \"job\", got " + *reply});
    return std::nullopt;
  }
  return wait_for(context, json["job"].get<uint64_t>(), what, exit);
}

Status job_error(const Job& job) {
  if (!job.result.is_object()) return {Code::kInternal, "job " + std::to_string(job.number) + " failed"};
  const Code code = code_from_name(text_of(job.result, "code")).value_or(Code::kInternal);
  return {code == Code::kOk ? Code::kInternal : code, text_of(job.result, "message")};
}

}  // namespace vs::cli
