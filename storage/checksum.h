// Checksums of files that are read once, from end to end: XXH3 with 128 bits, as 32 hexadecimal digits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/check.h"
#include "storage/file_system.h"

namespace vs::storage {

std::string checksum_of(std::string_view text);
inline constexpr size_t kChecksumDigits = 32;

// All of these count the bytes that they have read in `progress`. Errors: kCorrupt (the file is shorter), kNotFound,
// kIoError, kNoSpace, kShuttingDown (cancelled).

// Of the first `bytes` of the file.
Result<std::string> checksum_file(FileSystem& file_system, const std::string& path, uint64_t bytes, Progress& progress);
// Makes the new file `to` of them and syncs it. Returns the checksum of what was read.
Result<std::string> copy_file(FileSystem& file_system, const std::string& from, const std::string& to, uint64_t bytes,
                              Progress& progress);
// Makes and syncs a new file.
Status write_file(FileSystem& file_system, const std::string& path, std::string_view text);

}  // namespace vs::storage
