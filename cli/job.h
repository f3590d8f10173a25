// A background job of the daemon that a command waits for.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"

namespace vs::cli {

// A job as JOBS shows it.
struct Job {
  uint64_t number = 0;
  std::string collection;
  std::string state;
  double percent = 0;
  std::optional<double> rate;
  std::optional<double> eta_s;
  nlohmann::ordered_json result;

  bool running() const { return state == "running"; }
};

// The jobs of a reply. Errors: kBadRequest (it is not such a reply).
Result<std::vector<Job>> parse_jobs(std::string_view json);

// Sends `request`, which starts a job, and waits until the job has ended, with a progress bar called `what`. When an
// interrupt is requested, cancels the job on the daemon and waits on. On an error prints it and returns nullopt; `exit`
// has the code. REQUIRES: an Interrupt lives, as a Ctrl-C would otherwise leave the job running.
std::optional<Job> run_job(Context& context, const std::string& request, const std::string& what, Exit& exit);

// The error of a failed job.
Status job_error(const Job& job);

}  // namespace vs::cli
