// Blocks of the disk for RocksDB's log, taken before a batch is written.
//
// A write to the log that fails is the end of the process: nobody knows how much of it reached the file. A full disk must
// not come to that, even when another program takes the last byte between a look at the free space and the write. So the
// log is treated as the mapped files are: its blocks are there (fallocate beyond the end of the file) before the batch is
// given to RocksDB, and having none is an answer, ERR no_space, with nothing changed.
//
// RocksDB itself preallocates, too, but ignores when that fails, and begins a new log within any write. Therefore an
// empty file with blocks, `spare`, stands ready: it is renamed to become the next log.
//
// Another one, `ballast`, is for what RocksDB writes beside the log. It is given back to the disk when vsd starts, since a
// start on a full disk has to write as well; and when a drop waits for a flush that found no room, since the drop is what
// makes room.
#pragma once

#include <rocksdb/env.h>

#include <cstdint>
#include <memory>
#include <string>

#include "index/status.h"

namespace vs::storage {

class LogSpace {
 public:
  // Of the RocksDB in `directory`; removes what the last run kept. Blocks are taken `step` bytes at a time. `base`: null
  // for the real disk.
  LogSpace(rocksdb::Env* base, const std::string& directory, uint64_t step, uint64_t ballast);
  ~LogSpace();
  LogSpace(const LogSpace&) = delete;
  LogSpace& operator=(const LogSpace&) = delete;

  rocksdb::Env* env() const { return env_.get(); }
  uint64_t step() const { return step_; }

  enum class Use : uint8_t {
    kOrdinary,    // leaves blocks for the others
    kCheckpoint,  // may take the last ones of the log
    kDrop,        // and the ballast's, for a flush that it waits for
  };
  // Makes the next batch of `bytes` find its blocks, in this log and in the next one; and the ballast. Errors: kNoSpace; any other failure
  // of the disk shows at the write.
  Status back(uint64_t bytes, Use use);
  // The next back() takes other blocks.
  void release_ballast();

 private:
  class Files;
  const uint64_t step_;
  std::shared_ptr<Files> files_;
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace vs::storage
