// Where an export goes. All files are written into a folder of their own beside their final places, and get those when all
// are complete and on disk; until then an earlier export stays as it is. The last one to come, and the first to go, is
// meta.json: where several files make an export, one without it is not whole.
#pragma once

#include <memory>
#include <string>

#include "cli/export.h"

namespace vs::cli {

class ExportTarget {
 public:
  // `path` is a directory, which is made if it is not there; or, for a format of one file, that file, if its name ends as
  // the format's does and no directory has it. What is there already needs `force`. Errors: kExists, kIoError.
  static Result<ExportTarget> prepare(const std::string& path, const ExportFormat& format, bool force);
  ExportTarget(ExportTarget&&) noexcept;
  ExportTarget& operator=(ExportTarget&&) noexcept;
  // Without publish() nothing has changed.
  ~ExportTarget();

  // The directory to write into, empty.
  const std::string& staging() const;
  bool is_file() const;
  // Puts the files in place; in a directory, those of an earlier export go. Errors: kIoError.
  Status publish();

 private:
  struct State;
  explicit ExportTarget(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace vs::cli
