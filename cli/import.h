// Sends the rows of files to a collection over several pipelined connections.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/import_source.h"
#include "cli/settings.h"

namespace vs::cli {

struct RejectedRow {
  uint64_t row = 0;
  std::string id;
  Status status;
};

struct ImportResult {
  uint64_t acknowledged = 0;
  uint64_t replaced = 0;  // of the acknowledged ones: the id was there before
  uint64_t rejected_total = 0;
  std::vector<RejectedRow> rejected;  // the first ones, in the order of their rows
  Status stopped;                     // the error that ended it early, if there was one
  bool lost = false;                  // that was the connection's
  bool interrupted = false;           // Ctrl-C ended it early
  double seconds = 0;

  bool complete() const { return stopped.ok() && !interrupted; }
};

// Chunks of rows are handed to whichever connection is free, so that rows reach the daemon nearly in order. After
// Ctrl-C or SIGTERM no more are sent, and the replies to those that were are waited for. At most `rejected_listed`
// rejected rows are kept in the result.
ImportResult import_rows(const Settings& settings, const std::string& collection, const ImportSource& source,
                         unsigned connections, size_t rejected_listed);

}  // namespace vs::cli
