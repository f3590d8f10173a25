// Sends the rows of files to a collection over several pipelined connections.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/array.h"
#include "cli/settings.h"

namespace vs::cli {

// All rows of the files in their order, and what goes with each.
struct ImportSource {
  std::vector<Array> files;  // all with the same number of columns
  Scale scale;
  std::vector<int64_t> labels;   // one a row, or empty
  std::vector<std::string> ids;  // one a row, or empty: then the row's number
  std::string id_prefix;

  uint64_t rows() const;
  uint64_t columns() const { return files.front().columns(); }
  std::string id(uint64_t row) const;
  // Appends the ADD lines of the rows [first, first + count). Safe from several threads. Errors: kIoError.
  Status append_requests(const std::string& collection, uint64_t first, uint64_t count, std::string& out) const;
};

struct RejectedRow {
  uint64_t row = 0;
  std::string id;
  Status status;
};

struct ImportResult {
  uint64_t acknowledged = 0;
  uint64_t rejected_total = 0;
  std::vector<RejectedRow> rejected;  // the first ones, in the order of their rows
  Status stopped;                     // why it ended early, if it did
  bool lost = false;                  // the connection is gone (or could not be made)
  double seconds = 0;
};

inline constexpr size_t kRejectedListed = 20;

// Chunks of rows are handed to whichever connection is free, so that rows reach the daemon nearly in order.
ImportResult import_rows(const Settings& settings, const std::string& collection, const ImportSource& source,
                         unsigned connections);

}  // namespace vs::cli
