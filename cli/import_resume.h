// Where an interrupted import goes on.
#pragma once

#include <span>

#include "cli/client.h"
#include "cli/import_journal.h"
#include "cli/import_source.h"

namespace vs::cli {

struct ResumePoint {
  LowWaterMark mark;           // rows below it are settled, and the source has been read to here
  uint64_t compare_below = 0;  // rows below it may be in already
  std::string note;            // for the user; empty if all is as expected
  bool used_up = false;        // the journal does not fit and the input cannot be read again: nothing can be sent
};

// kSame: the collection has the row just so, its vector bit for bit, its attributes to the letter.
enum class Presence { kMissing, kSame, kOther };

// Looks rows up, one result for each. REQUIRES: they have no fault, and nothing is in flight on the connection. Errors:
// those of Client, with `lost` set if the connection is the matter; else what the daemon answered.
Result<std::vector<Presence>> find_present(Client& client, const std::string& collection,
                                           std::span<const SourceRow> rows, bool& lost);

// What STATS says of a collection.
struct CollectionState {
  uint64_t seed = 0;
  uint64_t lsn = 0;
  uint64_t live = 0;
};

// The journal's mark is believed if the collection's seed is the same, no LSN that was acknowledged is missing, the rows
// before the mark are those that were sent then, and a sample of them is found. Otherwise, and without a journal, every row is
// compared with what the collection has, from the first one on, and `source` is opened anew if that is needed.
// REQUIRES: the source is at its beginning. Errors: those
// of the source, of Client and of the daemon; `lost` as above.
Result<ResumePoint> find_resume_point(const Settings& settings, const std::string& collection,
                                      const CollectionState& state, const ImportFiles& files, ImportSource& source,
                                      const std::optional<ImportState>& journal, bool& lost);

}  // namespace vs::cli
