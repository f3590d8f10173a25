// A load generator: requests over many connections, and how long each reply took.
//
// Closed loop: a connection sends its next request when a reply has come, so the daemon sets the pace, and a daemon that
// stops for a second delays one request a connection and keeps all others from being asked: the latencies look better
// than what users would see ("coordinated omission"). Open loop: requests have fixed times, whatever the daemon does, and a
// latency counts from that time; who has to wait because the requests before him did is counted with that wait.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "cli/eval.h"
#include "cli/histogram.h"
#include "cli/settings.h"

namespace vs::cli {

struct BenchPlan {
  std::string collection;
  std::string search_options;  // appended to each SEARCH (" k=10 ef=64")
  unsigned connections = 1;
  unsigned pipeline = 1;             // requests without a reply that a connection may have
  std::optional<double> rate;        // requests a second of all connections: open loop
  double warmup_s = 0;               // before anything is counted
  std::optional<double> duration_s;  // then send so long, …
  std::optional<uint64_t> count;     // … or until so many requests are counted. At least one of the two
  double writes = 0;                 // the part of the requests, 0..1, that are ADDs of new points
  std::string id_prefix;             // of those points
};

// Whether the request of that number is a write: as many as `share` says, evenly among the others.
bool is_write(uint64_t index, double share);
// When a request is due in the open loop, from the start.
std::chrono::nanoseconds arrival(uint64_t index, double rate);
// The points that connection `connection` writes, from number 0.
std::string written_id(const std::string& prefix, size_t connection, uint64_t number);

struct BenchErrors {
  uint64_t count = 0;
  std::string first;  // message
};

struct BenchOperation {
  Histogram latencies;                        // of OK replies
  std::map<std::string, BenchErrors> errors;  // by code

  uint64_t error_count() const;
  void merge(const BenchOperation& other);
};

struct BenchResult {
  BenchOperation searches;
  BenchOperation writes;
  double seconds = 0;    // from the first counted request that was due to the last counted reply
  uint64_t unsent = 0;   // open loop: due, but at the end their connections still had as many requests as they may have
  Histogram lateness;    // open loop: how late a request was sent although its connection was free
  double cpu_cores = 0;  // that this program's connections used, on average
  double busiest_thread = 0;  // part of the time, 0..1, in which a connection's thread ran or waited for a processor
  std::vector<uint64_t> written;  // a connection: how many of its points may exist
  bool interrupted = false;       // Ctrl-C ended it early
  Status failed;                  // the error that ended it early, if there was one
  bool lost = false;              // that was the connection's
};

// REQUIRES: an Interrupt lives.
BenchResult run_bench(const Settings& settings, const BenchPlan& plan, const EvalQueries& queries);

// Deletes what a run has written and returns how many points that were. Errors: the daemon's, kIoError.
Result<uint64_t> delete_written(const Settings& settings, const BenchPlan& plan, const std::vector<uint64_t>& written);

}  // namespace vs::cli
