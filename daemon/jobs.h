// Background jobs: work that takes long, which one request starts and others look at or cancel.
//
// One thread runs them, one after the other in the order of their numbers: each of them reads a collection from end to
// end, and two at a time would only take the disk and the cores from the clients. A job that waits for its turn is
// `running` with 0 percent: for whoever waits for it that is no difference.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "index/status.h"
#include "storage/check.h"

namespace vs::daemon {

enum class JobState : uint8_t { kRunning, kDone, kFailed, kCancelled };
// "running", as it stands on the wire.
std::string_view job_state_name(JobState state);

// A job as it was when it was looked at.
struct JobView {
  uint64_t number = 0;
  std::string kind;        // "check", "snapshot"
  std::string collection;  // empty: all of them
  JobState state = JobState::kRunning;
  double percent = 0;
  std::optional<double> rate;   // units a second, since it began
  std::optional<double> eta_s;  // of one that runs and has a rate
  // Text of a JSON object, what the work returned; of a failed job {"code","message"}; else "null".
  std::string result;
};

// All functions may be called from any thread.
class Jobs {
 public:
  // What a job does. Returns the text of a JSON object. It counts in `progress`, and returns kShuttingDown soon after
  // `progress.cancelled` is set.
  using Work = std::function<Result<std::string>(storage::Progress& progress)>;

  Jobs();
  // Like stop().
  ~Jobs();
  Jobs(const Jobs&) = delete;
  Jobs& operator=(const Jobs&) = delete;

  // Returns the job's number; the first one is 1. Errors: kBusy (limits::kJobsWaiting wait already), kShuttingDown.
  Result<uint64_t> submit(std::string kind, std::string collection, Work work);
  // Those that wait or run, and the last limits::kJobsKept that have ended, by number.
  std::vector<JobView> list() const;
  // Errors: kNotFound.
  Result<JobView> find(uint64_t number) const;
  // One that waits is cancelled at once, one that runs as soon as its work looks. Returns how it is then. Errors:
  // kNotFound, kBadArgument (it has ended).
  Result<JobView> cancel(uint64_t number);

  // Cancels all and takes no more; does not wait.
  void cancel_all();
  // Likewise, and waits for the one that runs. What the jobs work on is needed no longer after this.
  void stop();

 private:
  using Clock = std::chrono::steady_clock;

  struct Job {
    uint64_t number = 0;
    std::string kind;
    std::string collection;
    Work work;
    storage::Progress progress;
    JobState state = JobState::kRunning;
    std::optional<Clock::time_point> begin;  // none: it waits
    Clock::time_point end;                   // when `state` is no longer kRunning
    std::string result = "null";
  };

  void run();
  static JobView view(const Job& job);
  // All with mutex_ held.
  Result<std::shared_ptr<Job>> get(uint64_t number) const;
  void finish(Job& job, JobState state, std::string result);
  void cancel(Job& job);
  void drop_old();

  mutable std::mutex mutex_;  // of all below, save the progress of a job
  std::condition_variable changed_;
  std::map<uint64_t, std::shared_ptr<Job>> jobs_;
  std::deque<std::shared_ptr<Job>> waiting_;
  std::deque<uint64_t> ended_;  // numbers, the one that ended first in front
  uint64_t last_number_ = 0;
  bool stopping_ = false;
  std::mutex stop_mutex_;  // of joining
  std::thread thread_;     // last, so that it finds all the rest
};

}  // namespace vs::daemon
