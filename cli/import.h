// Sends the rows of files to a collection over several pipelined connections.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/import_journal.h"
#include "cli/import_rejects.h"
#include "cli/import_source.h"
#include "cli/settings.h"

namespace vs::cli {

struct ImportResult {
  uint64_t acknowledged = 0;
  uint64_t replaced = 0;  // of the acknowledged ones: the id was there before
  uint64_t skipped = 0;   // rows that were in already, of a resumed import
  uint64_t rejected_total = 0;
  std::vector<RejectedRow> rejected;  // the first ones, in the order of their rows
  Status stopped;                     // the error that ended it early, if there was one
  bool lost = false;                  // that was the connection's
  bool interrupted = false;           // Ctrl-C ended it early
  Status unrecorded;                  // not ok: rejected rows could not be written to their file
  double seconds = 0;

  bool complete() const { return stopped.ok() && !interrupted; }
};

struct ImportTask {
  std::string collection;
  uint64_t seed = 0;           // of the collection
  uint64_t lsn = 0;            // the highest that was acknowledged before, of a resumed import
  LowWaterMark start;          // the source has been read to here
  uint64_t compare_below = 0;  // rows below it may be in already, and are looked up before they are sent
  unsigned connections = 1;
  size_t rejected_listed = 0;        // at most so many are kept in the result
  RejectFile* rejects = nullptr;     // may be null
  ImportJournal* journal = nullptr;  // may be null
};

// Chunks of rows are handed to whichever connection is free, so that rows reach the daemon nearly in order. After
// Ctrl-C or SIGTERM no more are sent, and the replies to those that were are waited for.
ImportResult import_rows(const Settings& settings, ImportSource& source, const ImportTask& task);

// Counts and lists rows that were rejected; the first ones in the order of their rows are kept. For one thread at a time.
void add_rejected(ImportResult& result, RejectedRow row, size_t listed, RejectFile* file);
void keep_first_rejected(ImportResult& result, size_t listed);
RejectedRow rejected_row(const ImportSource& source, const SourceRow& row, const Status& status);

}  // namespace vs::cli
