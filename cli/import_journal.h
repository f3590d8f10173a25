// How far an import has come, for `vsctl import --resume`.
//
// Rows are sent in their order over several connections, and acknowledged out of order: the state of an import is a mark, below
// which every row is settled, and a limit, at or above which no row was sent. Between the two nobody knows without asking. The
// limit is written and synced before a row at it is sent; so whatever kills vsctl, or the machine that it runs on, leaves a
// journal that is true. A resumed import skips what is below the mark, looks each row between mark and limit up in the
// collection (cli/import_resume.h), and sends the rest.
//
// The journal is a hint that saves time, never what correctness rests on: without one, or if it does not fit, every row is
// looked up. That is why an import keeps one unasked, and goes on without when it cannot be written.
//
// It is a text file below $XDG_STATE_HOME/vsctl (~/.local/state/vsctl), named by the collection and a hash of the input files'
// paths, in lines of JSON:
//
//   {"vsctl_import":1,"collection":"fashion","seed":123,"files":["/data/train.gz"]}
//   {"mark":4096,"limit":8256,"digest":1234567890,"lsn":4122,"rejected":0}
//
// Lines are only appended, and the last whole one counts; one that a crash has cut is as if it had not been written, and then no
// row beyond the limit before it was sent. An advisory lock keeps a second import of the same files away from it. It is removed
// when the import is complete.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/low_water.h"
#include "cli/settings.h"

namespace vs::cli {

struct ImportState {
  uint64_t seed = 0;  // the collection's, which is random unless somebody chose it
  LowWaterMark mark;
  uint64_t limit = 0;
  uint64_t lsn = 0;  // the highest that was acknowledged
};

// Where the journal of an import lies; nullopt if the environment names neither a state directory nor a home.
std::optional<std::string> journal_path(const Environment& environment, const std::string& collection,
                                        const std::vector<std::string>& files);
// The last whole state in a journal's text; nullopt if there is none.
std::optional<ImportState> parse_journal(std::string_view text);

class ImportJournal {
 public:
  // Makes the directories and the file if need be, and locks it. Errors: kBusy (another import has it), kIoError.
  static Result<ImportJournal> open(const std::string& path);
  ImportJournal(ImportJournal&&) noexcept;
  ImportJournal& operator=(ImportJournal&&) noexcept;
  // Without any state in it the file is removed.
  ~ImportJournal();

  // What an interrupted import left.
  const std::optional<ImportState>& found() const;
  // Forgets all states and begins anew. Errors: kIoError.
  Status begin(const std::string& collection, uint64_t seed, const std::vector<std::string>& files);
  // Appends a state. One with a higher limit than before has to be synced: it must be on the disk when rows are sent that it
  // makes room for; a higher mark alone may be lost. Errors: kIoError.
  enum class Sync { kNo, kYes };
  Status append(const ImportState& state, Sync sync);
  void remove();

 private:
  struct File;
  explicit ImportJournal(std::unique_ptr<File> file);
  std::unique_ptr<File> file_;
};

}  // namespace vs::cli
