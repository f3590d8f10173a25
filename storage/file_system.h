// Every call to the operating system that concerns files and can fail, as one small interface: a test puts another
// implementation in its place and makes each of them fail. (RocksDB has its own, of the same kind.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "index/status.h"

namespace vs::storage {

// A file mapped at an address that stays while this lives.
class MappedRegion {
 public:
  virtual ~MappedRegion() = default;
  virtual std::byte* data() const = 0;
  // Writes bytes 0..bytes-1 to the file and waits for the disk (msync). Errors: kIoError.
  virtual Status sync(uint64_t bytes) = 0;
  // Reads these bytes into memory, where they stay as long as this lives (mlock). Errors: kLimit (more than the process may
  // lock), kIoError.
  virtual Status lock(uint64_t offset, uint64_t bytes) = 0;
};

class File {
 public:
  virtual ~File() = default;
  virtual Result<uint64_t> size() const = 0;
  virtual Status read(uint64_t offset, std::span<std::byte> out) const = 0;
  virtual Status write(uint64_t offset, std::span<const std::byte> bytes) = 0;
  // Grows the file to `size` with blocks of zeros that are really there, so that no later store can fail for want of
  // space. On failure the file has its old size. Errors: kNoSpace, kIoError.
  virtual Status allocate(uint64_t size) = 0;
  virtual Status truncate(uint64_t size) = 0;
  virtual Status sync() = 0;
  // Maps bytes 0..reserve-1 of the address space to the file, more than it has: as the file grows, they become usable.
  virtual Result<std::unique_ptr<MappedRegion>> map(uint64_t reserve) = 0;
};

// Held as long as this lives.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

enum class Access : uint8_t { kReadOnly, kReadWrite };

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::unique_ptr<File>> create(const std::string& path) = 0;  // kExists when it is there
  // A file opened with kReadOnly is mapped for reading, too. Errors: kNotFound.
  virtual Result<std::unique_ptr<File>> open(const std::string& path, Access access) = 0;
  virtual Status create_directories(const std::string& path) = 0;  // mode 0700; fine when it is there
  virtual Status sync_directory(const std::string& path) = 0;
  virtual Status remove_all(const std::string& path) = 0;  // fine when it is not there
  // Another name for a file. Errors: kExists; kLimit: not between these places (another file system, or one without hard
  // links), a copy would do.
  virtual Status link(const std::string& from, const std::string& to) = 0;
  // Of a file or a directory; durable when both directories are synced. Errors: kExists (a directory that is not empty).
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  // Of the file system that `path` is on: what this user may still take, and its size.
  virtual Result<uint64_t> free_bytes(const std::string& path) = 0;
  virtual Result<uint64_t> total_bytes(const std::string& path) = 0;
  // Locks the directory, and the file in it that `path` names. kReadWrite makes the file if it is missing; kReadOnly does
  // without, and several may hold it. Errors: kBusy when another process holds either, kNotFound (the directory).
  virtual Result<std::unique_ptr<DirectoryLock>> lock(const std::string& path, Access access) = 0;
};

FileSystem& posix_file_system();

}  // namespace vs::storage
