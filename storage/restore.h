// Restoring: a new data directory from a snapshot.
//
// Everything is copied into DIRECTORY/restoring, synced, and that is renamed to DIRECTORY/rocksdb: so there is no moment
// at which a part of the data looks like all of it. A crash before the rename leaves `restoring`, which the next restore
// replaces and which a start without one refuses (preflight.cc).
#pragma once

#include <string>

#include "storage/check.h"
#include "storage/manifest.h"

namespace vs::storage {

inline constexpr const char* kRestoringFolder = "restoring";

// Reads every file of the snapshot and compares it with the manifest. Returns the manifest. Errors: kCorrupt, which names the
// file, what was expected and what came; kNotFound (there is no manifest), kIoError.
Result<Manifest> verify_snapshot(FileSystem& file_system, const std::string& snapshot, Progress& progress);

// Makes `directory` a data directory with what the snapshot holds; it must be missing or empty, save for what an
// earlier restore left. Verifies the snapshot before it changes anything. Errors: those of verify_snapshot(); kBadArgument (the directory
// is not empty), kBusy, kNoSpace.
Result<Manifest> restore_snapshot(FileSystem& file_system, const std::string& snapshot, const std::string& directory,
                                  Progress& progress);

}  // namespace vs::storage
