// The file of an import's rejected rows, in JSON Lines:
//   {"file":"a.csv","row":17,"line":19,"id":"x","code":"not_finite","reason":"…"}
// row counts from 0 in that file; line, from 1, is there for text files.
#pragma once

#include <set>
#include <string>
#include <utility>

#include "daemon/protocol.h"

namespace vs::cli {

struct RejectedRow {
  uint64_t number = 0;  // counted over all files
  std::string file;
  uint64_t file_row = 0;
  uint64_t line = 0;  // 0 if the file has no lines
  std::string id;
  Status status;
};

// For one thread at a time.
class RejectFile {
 public:
  // Does not touch the file yet: it is made for the first rejected row, in place of an older one. To `append` is for an import
  // that goes on: rows that stand in the file already are not written to it again.
  RejectFile(std::string path, bool append) : path_(std::move(path)), append_(append) {}
  RejectFile(const RejectFile&) = delete;
  RejectFile& operator=(const RejectFile&) = delete;
  ~RejectFile();

  // Makes the file now. Errors: kIoError.
  Status open();
  // The line is the system's when this returns, whatever becomes of vsctl. Errors: kIoError, and after one always that.
  Status write(const RejectedRow& row);
  const std::string& path() const { return path_; }

 private:
  void read_rows();

  const std::string path_;
  const bool append_;
  std::set<std::pair<std::string, uint64_t>> there_;  // file and row
  int file_ = -1;
  Status status_;
};

}  // namespace vs::cli
