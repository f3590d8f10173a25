// A mapped file that grows underneath its mapping, and the header that tells whose it is.
//
//   byte 0      8  magic "VSDMAP1\0"
//        8      4  kind of file (FileKind)
//       12      4  bytes of one element
//       16     16  UUID of the collection
//       32      8  generation
//       40     16  zero
//       56      8  XXH3 (64 bits) of bytes 0..55
//   byte 4096      elements
//
// All numbers little-endian. The header is written and synced once, before the file is mapped, and never changes: what
// changes (how many elements count) is in RocksDB.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "storage/file_system.h"

namespace vs::storage {

enum class FileKind : uint32_t { kRows = 1, kIds = 2, kVectors = 3, kLinks0 = 4, kUpper = 5, kCodes = 6 };

using Uuid = std::array<uint8_t, 16>;

struct FileIdentity {
  FileKind kind = FileKind::kRows;
  uint32_t element_bytes = 0;
  Uuid uuid{};
  uint64_t generation = 0;
};

class MappedFile {
 public:
  static constexpr uint64_t kHeaderBytes = 4096;

  // `reserve` bytes of address space for the elements. Errors: kExists, kNoSpace, kIoError, kLimit (address space).
  static Result<MappedFile> create(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                   uint64_t reserve);
  // Errors: kNotFound, kCorrupt (the header is damaged or another file's; says how), kIoError, kLimit.
  static Result<MappedFile> open(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                 uint64_t reserve, Access access);

  std::byte* data() const { return region_->data() + kHeaderBytes; }
  // Bytes of elements that are backed.
  uint64_t capacity() const { return capacity_; }
  uint64_t reserve() const { return reserve_; }

  // Makes at least `bytes` of elements usable, new ones zero. Grows by an eighth or more, so that appending costs
  // little. Leaves `space.reserve` bytes of the disk free. Errors: kNoSpace, kLimit (more than the reserve), kIoError,
  // kCorrupt (another program cut the file); then the file is as before.
  struct Space {
    const std::string& directory;
    uint64_t reserve;
  };
  Status ensure(uint64_t bytes, Space space);
  // Cuts the file after `bytes` of elements. REQUIRES: nobody reads beyond.
  Status shrink(uint64_t bytes);
  // Reads the header and the size again. Errors: kCorrupt (says what is wrong), kIoError.
  Status verify(const FileIdentity& identity) const;
  // Brings the first `bytes` of elements to the disk. May run beside ensure(), with a capacity() that was read before.
  // Errors: kIoError, kCorrupt (another program cut the file).
  Status sync(uint64_t bytes);
  // Keeps bytes first..last-1 of elements in memory. May run beside ensure(), with a capacity() that was read before. Errors:
  // kLimit (more than the process may lock), kIoError.
  Status lock(uint64_t first, uint64_t last) { return region_->lock(kHeaderBytes + first, last - first); }

 private:
  // kCorrupt if the file is shorter than `bytes` of elements need.
  Status check_not_cut(uint64_t bytes) const;
  MappedFile(FileSystem& file_system, std::string path, std::unique_ptr<File> file,
             std::unique_ptr<MappedRegion> region, uint64_t capacity, uint64_t reserve);

  FileSystem* file_system_;
  std::string path_;
  std::unique_ptr<File> file_;
  std::unique_ptr<MappedRegion> region_;
  uint64_t capacity_;
  uint64_t reserve_;
};

}  // namespace vs::storage
