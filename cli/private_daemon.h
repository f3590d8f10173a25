// A vsd that this program starts for itself, to look into a snapshot: with a data directory, a Unix
// socket and a token that nobody else knows. It ends, and all it wrote goes, with this object.
#pragma once

#include <memory>
#include <string>

#include "cli/settings.h"

namespace vs::cli {

class PrivateDaemon {
 public:
  struct Options {
    std::string program;   // path of vsd; empty: the one beside this program, else the first in PATH
    std::string scratch;   // an existing directory with room for what it writes
    std::string snapshot;  // to restore
  };

  // Returns when it serves. REQUIRES: an Interrupt lives. Errors: kCorrupt (vsd refuses the snapshot; the message is
  // its reason), kIoError, kInternal (it ended otherwise), kShuttingDown (an interrupt was requested).
  static Result<PrivateDaemon> start(const Options& options);
  PrivateDaemon(PrivateDaemon&&) noexcept;
  PrivateDaemon& operator=(PrivateDaemon&&) noexcept;
  ~PrivateDaemon();

  const std::string& socket() const;

 private:
  struct State;
  explicit PrivateDaemon(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace vs::cli
