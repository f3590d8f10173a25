#include "daemon/jobs.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "daemon/reply.h"
#include "index/limits.h"

namespace vs::daemon {
namespace {

double seconds_between(std::chrono::steady_clock::time_point begin, std::chrono::steady_clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

// One digit behind the point; more would only be noise that changes at every look.
double rounded_down(double number) { return std::floor(number * 10) / 10; }

}  // namespace

std::string_view job_state_name(JobState state) {
  switch (state) {
    case JobState::kRunning:
      return "running";
    case JobState::kDone:
      return "done";
    case JobState::kFailed:
      return "failed";
    case JobState::kCancelled:
      break;
  }
  return "cancelled";
}

Jobs::Jobs() : thread_([this] { run(); }) {}

Jobs::~Jobs() { stop(); }

Result<uint64_t> Jobs::submit(std::string kind, std::string collection, Work work) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return Status(Code::kShuttingDown, "the server is shutting down; connect again when it is back");
  if (waiting_.size() >= limits::kJobsWaiting) {
    return Status(Code::kBusy, "at most " + std::to_string(limits::kJobsWaiting) + " jobs wait for their turn, and " +
                                   std::to_string(waiting_.size()) +
                                   " do; try again when one has ended (JOBS lists them), or CANCEL one");
  }
  auto job = std::make_shared<Job>();
  job->number = ++last_number_;
  job->kind = std::move(kind);
  job->collection = std::move(collection);
  job->work = std::move(work);
  jobs_.emplace(job->number, job);
  waiting_.push_back(job);
  changed_.notify_all();
  return job->number;
}

JobView Jobs::view(const Job& job) {
  JobView view{.number = job.number, .kind = job.kind, .collection = job.collection, .state = job.state};
  view.result = job.result;
  const bool running = job.state == JobState::kRunning;
  // Counters only; nothing else is published through them. The total may change from one part of the work to the next.
  const uint64_t done = job.progress.done.load(std::memory_order_relaxed);
  const uint64_t total = job.progress.total.load(std::memory_order_relaxed);
  const double part = total > 0 ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total)) : 0;
  view.percent = job.state == JobState::kDone ? 100 : rounded_down(part * 100);
  if (!job.begin) return view;
  const double seconds = seconds_between(*job.begin, running ? Clock::now() : job.end);
  if (done == 0 || seconds <= 0) return view;
  const double rate = static_cast<double>(done) / seconds;
  view.rate = rounded_down(rate);
  if (running && total > 0) view.eta_s = rounded_down(static_cast<double>(total - std::min(done, total)) / rate);
  return view;
}

std::vector<JobView> Jobs::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<JobView> views;
  views.reserve(jobs_.size());
  for (const auto& [number, job] : jobs_) views.push_back(view(*job));
  return views;
}

Result<std::shared_ptr<Jobs::Job>> Jobs::get(uint64_t number) const {
  const auto found = jobs_.find(number);
  if (found != jobs_.end()) return found->second;
  return Status(Code::kNotFound, "there is no job " + std::to_string(number) + "; JOBS lists those that run and the " +
                                     std::to_string(limits::kJobsKept) + " that ended last, of " +
                                     std::to_string(last_number_) + " since the server started");
}

Result<JobView> Jobs::find(uint64_t number) const {
  const std::lock_guard lock(mutex_);
  VS_ASSIGN_OR_RETURN(const auto found, get(number));
  return view(*found);
}

Result<JobView> Jobs::cancel(uint64_t number) {
  const std::lock_guard lock(mutex_);
  VS_ASSIGN_OR_RETURN(const auto found, get(number));
  if (found->state != JobState::kRunning) {
    return Status(Code::kBadArgument, "only a job that runs can be cancelled, and job " + std::to_string(number) +
                                          " is " + std::string(job_state_name(found->state)) + "; JOBS " +
                                          std::to_string(number) + " shows its result");
  }
  cancel(*found);
  drop_old();
  return view(*found);
}

void Jobs::cancel(Job& job) {
  // Read by the work, which needs nothing else from here.
  job.progress.cancelled.store(true, std::memory_order_relaxed);
  const auto place =
      std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& one) { return one->number == job.number; });
  if (place == waiting_.end()) return;
  waiting_.erase(place);
  finish(job, JobState::kCancelled, "null");
}

void Jobs::finish(Job& job, JobState state, std::string result) {
  job.state = state;
  job.result = std::move(result);
  job.end = Clock::now();
  job.work = nullptr;
  ended_.push_back(job.number);
  spdlog::info("job_{} job={} kind={} collection={} seconds={:.3f}", job_state_name(state), job.number, job.kind,
               job.collection, job.begin ? seconds_between(*job.begin, job.end) : 0);
}

void Jobs::drop_old() {
  for (; ended_.size() > limits::kJobsKept; ended_.pop_front()) jobs_.erase(ended_.front());
}

void Jobs::cancel_all() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  for (const auto& [number, job] : jobs_) {
    if (job->state == JobState::kRunning) cancel(*job);
  }
  drop_old();
  changed_.notify_all();
}

void Jobs::stop() {
  cancel_all();
  const std::lock_guard lock(stop_mutex_);
  if (thread_.joinable()) thread_.join();
}

void Jobs::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const std::shared_ptr<Job> job = std::move(waiting_.front());
    waiting_.pop_front();
    job->begin = Clock::now();
    Work work = std::move(job->work);
    lock.unlock();
    spdlog::info("job_began job={} kind={} collection={}", job->number, job->kind, job->collection);
    Result<std::string> result = work(job->progress);
    work = nullptr;  // what it holds may end here, without the lock
    lock.lock();
    if (result.ok()) {
      finish(*job, JobState::kDone, *std::move(result));
    } else if (result.status().code() == Code::kShuttingDown && job->progress.cancelled) {
      finish(*job, JobState::kCancelled, "null");
    } else {
      std::string json;
      {
        JsonObject error(json);
        error.text("code", code_name(result.status().code()));
        error.text("message", result.status().message());
      }
      spdlog::warn("job_error job={} status='{}'", job->number, result.status().to_string());
      finish(*job, JobState::kFailed, std::move(json));
    }
    drop_old();
  }
}

}  // namespace vs::daemon
