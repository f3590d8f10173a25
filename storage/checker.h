// Looks at a collection and says what is wrong with it. Works on an open collection beside its writers, and on a
// directory that nobody has open.
//
// Beside writers, what it reads at one moment need not fit what it read at another: a point may be durable and not linked
// yet, a record trimmed by a checkpoint. So look() collects suspects only, and confirm() looks at those again when no
// operation is under way; what is still wrong then is.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/check.h"
#include "storage/collection_impl.h"

namespace vs::storage {

// What was found, in a form that can be looked at again and repaired.
struct Findings {
  std::vector<Slot> liveness;  // live or dead, against RocksDB
  std::vector<Slot> links;     // a list with a word that cannot be
  std::vector<Slot> reach;     // live, and no way leads there
  std::vector<Slot> vectors;   // not RocksDB's
  std::vector<Slot> codes;     // not their vectors'
  std::vector<Lsn> stale;      // records of replaced operations
  bool rebuild = false;        // files, rows or slots are missing: only a new generation helps
  std::vector<Problem> texts;  // the first CheckReport::kProblemsMax
  uint64_t count = 0;

  bool empty() const { return count == 0; }
};

class Checker {
 public:
  struct Target {
    const Store& store;
    CollectionNumber number;
    const Generation& generation;
    Lsn checkpoint;  // as it was before `snapshot`
    Lsn last;        // likewise: the log holds this one
    Store::Snapshot snapshot;
    uint32_t ef_search;  // that recall is measured with
    // The files are as their owner sees them. False for a directory that was not closed: what later operations did to
    // liveness and links is for recovery to mend.
    bool settled = true;
  };
  explicit Checker(Target target) : target_(std::move(target)) {}

  // Errors: kIoError, kShuttingDown (cancelled).
  Status look(const CheckOptions& options, Progress& progress);
  // Looks again at `suspects` and leaves those in findings() that are confirmed. REQUIRES: a new checker, whose target
  // was taken when no operation is under way; none begins meanwhile.
  Status confirm(const Findings& suspects, const CheckOptions& options, Progress& progress);

  const Findings& findings() const { return findings_; }
  std::optional<double> recall() const { return recall_; }

 private:
  const Graph& graph() const { return target_.generation.graph(); }
  void note(const char* kind, std::string detail);
  std::string name_of(Slot slot) const;
  bool cancelled(const Progress& progress) const { return progress.cancelled; }

  void look_at_files();
  Status look_at_liveness(Slot slot);
  Status look_at_id(std::string_view id, Lsn lsn);
  Status look_at_log(bool deep, Progress& progress);
  Status look_at_vector(Slot slot, const Record& record);
  void look_at_links(Slot slot);
  void look_at_reach();
  void measure_recall();

  const Target target_;
  Findings findings_;
  std::optional<double> recall_;
};

}  // namespace vs::storage
