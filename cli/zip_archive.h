// ZIP archives, which NPZ files are: libzip, behind the types of this program. Members are found by name and read; nothing is
// ever unpacked to a file of a name that stands in an archive.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cli/content.h"

namespace vs::cli {

bool looks_like_zip(std::span<const uint8_t> head);

class ZipArchive {
 public:
  // Reads the directory. Errors: kBadRequest (no ZIP file, damaged), kIoError.
  static Result<ZipArchive> open(const std::string& path);
  // Likewise of a stream that was opened for `path`, of which nothing was taken.
  static Result<ZipArchive> open(const std::string& path, InputStream stream);

  const std::vector<std::string>& names() const { return names_; }
  // A member, stored or deflated. Its length and checksum are verified by Content::expect(). Errors: kBadRequest (another
  // method, encrypted, two members of this name, lengths that cannot be), kTooLarge, kNotFound.
  Result<Content> member(const std::string& name) const;
  // The whole of it. Errors: likewise, and kIoError.
  Result<std::string> text(const std::string& name) const;

  struct Handle;  // of libzip

 private:
  explicit ZipArchive(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}

  std::shared_ptr<Handle> handle_;
  std::vector<std::string> names_;
};

// Packs files, stored as they are and under their own names, into a new archive at `path`, and syncs it. Beyond 4 GiB it
// is a ZIP64 one. REQUIRES: an Interrupt lives. Errors: kIoError, kShuttingDown (an interrupt was requested).
Status write_zip(const std::string& path, const std::vector<std::string>& files);

}  // namespace vs::cli
