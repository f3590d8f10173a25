// What other parameters of the graph would give: graphs of a sample of a collection's points, built by a vsd of this
// program's own (private_daemon.h), so that nothing changes on the daemon that is asked for the points.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/tune.h"

namespace vs::cli {

struct GraphParameters {
  uint64_t m = 0;
  uint64_t ef_construction = 0;
  friend bool operator==(const GraphParameters&, const GraphParameters&) = default;
};

struct ExploredGraph {
  GraphParameters parameters;
  double build_s = 0;
  double bytes_per_point = 0;  // of mapped files
  Tuning tuning;
};

// The vectors of `wanted` points, encoded for ADD, all of them if there are fewer; each as likely as the others. On an
// error prints it and returns nullopt; `exit` has the code. REQUIRES: an Interrupt lives.
std::optional<std::vector<std::string>> sample_points(Context& context, const std::string& collection, uint64_t wanted,
                                                      Exit& exit);

// Builds a graph of `points` with each of `parameters` on the daemon at `settings`, and drops it again. `create` is the
// rest of the CREATE request (" dim=784 metric=l2"). `task.collection` is ignored. Errors: the daemon's, kShuttingDown (an
// interrupt was requested). REQUIRES: an Interrupt lives.
Result<std::vector<ExploredGraph>> explore_graphs(const Settings& settings, const std::string& create,
                                                  const std::vector<std::string>& points,
                                                  const std::vector<GraphParameters>& parameters, const TuneTask& task);

}  // namespace vs::cli
