// manifest.json of a snapshot: what the snapshot holds, with the size and checksum of every file. docs/format.md has an
// example.
//
// The last member is the checksum of all bytes before it, so a flipped bit anywhere in the text is found, and so is a text
// that was cut.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "index/distance.h"
#include "index/types.h"
#include "storage/file_system.h"

namespace vs::storage {

struct Manifest {
  // Of the manifest itself; later versions are refused, earlier ones are read.
  static constexpr uint32_t kVersion = 1;
  static constexpr const char* kFileName = "manifest.json";
  static constexpr uint64_t kBytesMax = 64u << 20;

  struct Collection {
    std::string name;
    uint32_t dim = 0;
    Metric metric = Metric::kL2;
    uint64_t points = 0;
    Lsn lsn;  // of the last operation
  };
  struct FileEntry {
    std::string path;  // "rocksdb/000012.sst", below the snapshot's directory
    uint64_t bytes = 0;
    std::string checksum;
  };

  std::string vsd_version;     // that made the snapshot
  std::string format_version;  // of the data directory (preflight.h)
  std::string tag;
  std::string time;  // "2026-11-23T01:46:18Z"
  std::vector<Collection> collections;
  std::vector<FileEntry> files;

  uint64_t bytes() const;   // of all files
  uint64_t points() const;  // of all collections
};

// 1 to 64 characters of A-Z a-z 0-9 _ . -, not beginning with a dot. Errors: kBadArgument.
Status validate_tag(std::string_view tag);

std::string encode_manifest(const Manifest& manifest);
// Everything in the result is checked: names of files stay below rocksdb/, each occurs once. Errors: kCorrupt, which says
// what is wrong.
Result<Manifest> decode_manifest(std::string_view text);
// That of the snapshot, or of a copy of one, in `directory`. Errors: kNotFound, kCorrupt, kIoError; they name the file.
Result<Manifest> read_manifest(FileSystem& file_system, const std::string& directory);

}  // namespace vs::storage
