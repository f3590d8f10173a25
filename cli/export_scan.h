// Reads a whole collection page by page, and finds out whether what was read is of one moment.
//
// SCAN shows points in the order of their LSNs, each as it is when its page is made. What is written meanwhile comes with a
// higher LSN: a new point is seen at the end; one that is replaced is seen as it was before, or as it is then, depending on
// which page it was on; one that is deleted, or was not. So the pages are of one moment exactly if nothing was written
// between the first and the last, which the collection's LSN tells: it counts every operation. An operation that is under
// way when the scan begins has its LSN, but is not seen yet, so the scan begins when none is (`applied_lsn`).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/context.h"
#include "cli/export.h"

namespace vs::cli {

// STATS of the collection, when all that was begun is seen by scans; after half a second without such a moment as it is
// then. Prints the error and returns nullopt with the exit code in daemon.exit().
std::optional<nlohmann::ordered_json> settled_stats(Context& daemon, const std::string& name);

// All points to `exporter`. Prints errors. REQUIRES: an Interrupt lives.
Exit copy_points(Context& daemon, const ExportInfo& info, Exporter& exporter);

struct Consistency {
  bool consistent = false;
  uint64_t changes = 0;  // points written and deleted while the scan ran
};
// From the replies of STATS before and after.
Consistency judge_consistency(const nlohmann::ordered_json& before, const nlohmann::ordered_json& after);

}  // namespace vs::cli
