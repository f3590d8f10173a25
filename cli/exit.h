// How a command ended, for the shell: the exit codes are a contract, which docs/man/vsctl.1 states for users.
#pragma once

#include "daemon/protocol.h"

namespace vs::cli {

enum class Exit : int {
  kOk = 0,
  kFailure = 1,
  kUsage = 2,
  kNotFound = 3,
  kUnreachable = 4,
  kCorruption = 5,
  kPartly = 6,
};

// For an error that the daemon answered or that arose here; an unreachable daemon is told apart by who reports it.
inline Exit exit_for(const Status& status) {
  switch (status.code()) {
    case Code::kOk:
      return Exit::kOk;
    case Code::kBadArgument:
      return Exit::kUsage;
    case Code::kNotFound:
      return Exit::kNotFound;
    case Code::kCorrupt:
      return Exit::kCorruption;
    default:
      return Exit::kFailure;
  }
}

}  // namespace vs::cli
