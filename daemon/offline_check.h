// vsd --check: a check of a data directory that no vsd has open.
#pragma once

#include <string>

#include "index/status.h"

namespace vs::daemon {

// Prints a line for each collection and one for each of its problems to stdout; changes nothing. Returns whether all are
// clean. Errors: those of storage::check_directory().
Result<bool> check_offline(const std::string& directory, bool deep);

}  // namespace vs::daemon
