// Output files that appear under their name only when they are complete and on disk.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "daemon/protocol.h"

namespace vs::cli {

class OutputFile {
 public:
  // Opens `path`.tmp; a file left there by an earlier try is overwritten. Errors (of all functions): kIoError.
  static Result<OutputFile> create(const std::string& path);
  OutputFile(OutputFile&&) noexcept;
  OutputFile& operator=(OutputFile&&) noexcept;
  // Without commit() the unfinished file is removed.
  ~OutputFile();

  // Appends, through a buffer.
  Status write(const void* data, size_t bytes);
  Status write(std::string_view text) { return write(text.data(), text.size()); }
  // Overwrites bytes that were written before.
  Status write_at(uint64_t offset, std::string_view text);
  // Syncs, closes and renames to `path`. Nothing may be written afterwards.
  Status commit();

 private:
  struct State;
  explicit OutputFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Makes renames in the directory durable. Errors: kIoError.
Status sync_directory(const std::string& path);

}  // namespace vs::cli
