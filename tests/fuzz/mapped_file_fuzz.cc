// Fuzzes opening a mapped file whose bytes a disk may have damaged, and what is done with it afterwards. The file system
// is one in memory that can refuse; bytes behind a file's end are poisoned, as touching them in a real mapping raises
// SIGBUS.
//
// Input: what fails (1 byte), the identity that is expected (kind 1, element bytes 1, generation 1), bytes of elements
// in the file in units of 4 KiB (1), changes of the header (position 1, value 1; ended by 64 or more as the position),
// then operations.
#include <xxhash.h>

#include <array>
#include <cstring>
#include <vector>

#include "storage/mapped_file.h"
#include "tests/fuzz/fuzz.h"

#if defined(__SANITIZE_ADDRESS__)
#define VS_FUZZ_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VS_FUZZ_ASAN 1
#endif
#endif
#ifdef VS_FUZZ_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace vs::fuzz {
namespace {

using namespace storage;

constexpr uint64_t kFileBytesMax = 256u << 10;
constexpr uint64_t kReserve = 128u << 10;
constexpr uint64_t kHeader = MappedFile::kHeaderBytes;
constexpr size_t kHeaderUsed = 64;

enum Failing : uint8_t {
  kSize = 1,
  kRead = 2,
  kMap = 4,
  kAllocate = 8,
  kTruncate = 16,
  kSync = 32,
  kFree = 64,
  kForge = 128
};

struct Disk {
  std::vector<std::byte> bytes = std::vector<std::byte>(kFileBytesMax);
  uint64_t size = 0;
  uint8_t failing = 0;
  uint64_t synced = 0;  // bytes that the last msync was for

  Disk() { resize(0); }
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;
  ~Disk() { resize(kFileBytesMax); }

  // New bytes are zero.
  void resize(uint64_t to) {
#ifdef VS_FUZZ_ASAN
    __asan_unpoison_memory_region(bytes.data(), bytes.size());
#endif
    if (to < size) std::memset(bytes.data() + to, 0, size - to);
    size = to;
#ifdef VS_FUZZ_ASAN
    __asan_poison_memory_region(bytes.data() + to, bytes.size() - to);
#endif
  }
  Status status(Failing call) const {
    return (failing & call) != 0 ? Status{Code::kIoError, "the fuzzer lets this fail"} : Status();
  }
};

class MemoryRegion final : public MappedRegion {
 public:
  MemoryRegion(Disk& disk, uint64_t reserve) : disk_(disk), reserve_(reserve) {}
  std::byte* data() const override { return disk_.bytes.data(); }
  Status sync(uint64_t bytes) override {
    VS_CHECK(bytes <= reserve_);
    disk_.synced = bytes;
    return disk_.status(kSync);
  }
  Status lock(uint64_t, uint64_t) override { return {}; }

 private:
  Disk& disk_;
  uint64_t reserve_;
};

class DiskFile final : public File {
 public:
  explicit DiskFile(Disk& disk) : disk_(disk) {}
  Result<uint64_t> size() const override {
    VS_RETURN_IF_ERROR(disk_.status(kSize));
    return disk_.size;
  }
  Status read(uint64_t offset, std::span<std::byte> out) const override {
    VS_CHECK(offset + out.size() <= disk_.size);
    std::memcpy(out.data(), disk_.bytes.data() + offset, out.size());
    return disk_.status(kRead);
  }
  Status write(uint64_t offset, std::span<const std::byte> bytes) override {
    VS_CHECK(offset + bytes.size() <= disk_.size);
    std::memcpy(disk_.bytes.data() + offset, bytes.data(), bytes.size());
    return {};
  }
  Status allocate(uint64_t size) override {
    VS_CHECK(size > disk_.size && size <= kHeader + kReserve);
    VS_RETURN_IF_ERROR(disk_.status(kAllocate));
    disk_.resize(size);
    return {};
  }
  Status truncate(uint64_t size) override {
    VS_CHECK(size >= kHeader && size < disk_.size);
    VS_RETURN_IF_ERROR(disk_.status(kTruncate));
    disk_.resize(size);
    return {};
  }
  Status sync() override { return disk_.status(kSync); }
  Result<std::unique_ptr<MappedRegion>> map(uint64_t reserve) override {
    VS_RETURN_IF_ERROR(disk_.status(kMap));
    return std::unique_ptr<MappedRegion>(std::make_unique<MemoryRegion>(disk_, reserve));
  }

 private:
  Disk& disk_;
};

// One file; the rest of the interface is not what a mapped file calls.
class DiskFileSystem final : public FileSystem {
 public:
  explicit DiskFileSystem(Disk& disk) : disk_(disk) {}
  Result<std::unique_ptr<File>> create(const std::string&) override { return handle(); }
  Result<std::unique_ptr<File>> open(const std::string&, Access) override { return handle(); }
  Result<uint64_t> free_bytes(const std::string&) override {
    return (disk_.failing & kFree) != 0 ? uint64_t{100'000} : uint64_t{1} << 40;
  }
  Result<uint64_t> total_bytes(const std::string&) override { return unexpected(); }
  Status create_directories(const std::string&) override { return unexpected(); }
  Status sync_directory(const std::string&) override { return unexpected(); }
  Status remove_all(const std::string&) override { return unexpected(); }
  Status link(const std::string&, const std::string&) override { return unexpected(); }
  Status rename(const std::string&, const std::string&) override { return unexpected(); }
  Result<std::vector<std::string>> list(const std::string&) override { return unexpected(); }
  Result<std::unique_ptr<DirectoryLock>> lock(const std::string&, Access) override { return unexpected(); }

 private:
  Result<std::unique_ptr<File>> handle() { return std::unique_ptr<File>(std::make_unique<DiskFile>(disk_)); }
  static Status unexpected() {
    VS_CHECK(false);
    return {};
  }
  Disk& disk_;
};

FileIdentity take_identity(Input& input) {
  FileIdentity identity;
  identity.kind = static_cast<FileKind>(input.take<uint8_t>() % 5 + 1);
  identity.element_bytes = input.take<uint8_t>();
  identity.generation = input.take<uint8_t>();
  identity.uuid.fill(0xAB);
  return identity;
}

// A file as vsd made it, then damaged. `kForge` makes the checksum right again: a fuzzer does not guess one.
// Returns the header as it was.
std::array<std::byte, kHeaderUsed> make_file(Disk& disk, const FileIdentity& identity, Input& input) {
  DiskFileSystem file_system(disk);
  VS_CHECK(MappedFile::create(file_system, "file", identity, kReserve).ok());
  disk.resize(kHeader + 4096 * uint64_t{input.take<uint8_t>() % 48u});
  std::array<std::byte, kHeaderUsed> header;
  std::copy_n(disk.bytes.begin(), kHeaderUsed, header.begin());
  for (uint8_t position = input.take<uint8_t>(); position != 0 && position < kHeaderUsed;
       position = input.take<uint8_t>()) {
    disk.bytes[position] = std::byte{input.take<uint8_t>()};
  }
  return header;
}

void forge_checksum(Disk& disk) {
  constexpr size_t kChecksum = 56;
  const uint64_t checksum = XXH3_64bits(disk.bytes.data(), kChecksum);
  std::memcpy(disk.bytes.data() + kChecksum, &checksum, sizeof checksum);
}

void check_bytes(const MappedFile& file, const Disk& disk) {
  VS_CHECK(file.capacity() <= file.reserve() && kHeader + file.capacity() <= disk.size);
  for (uint64_t i = 0; i < file.capacity(); i += 4093)
    std::ignore = *(static_cast<volatile std::byte*>(file.data()) + i);
}

bool is_zero(std::span<const std::byte> bytes) {
  // All equal to their neighbour, and the first is zero; faster than a loop under the sanitizers.
  return bytes.empty() ||
         (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

void operate(MappedFile& file, Disk& disk, Input& input, const FileIdentity& identity) {
  const std::string directory = "directory";
  for (int step = 0; step < 8 && !input.empty(); ++step) {
    const auto operation = input.take<uint8_t>();
    const uint64_t bytes = input.take<uint32_t>() % (kReserve + 4096);
    disk.failing = input.take<uint8_t>();
    const uint64_t before = file.capacity();
    switch (operation % 5) {
      case 0: {
        const Status status = file.ensure(bytes, {directory, uint64_t{operation} << 8});
        VS_CHECK(status.ok() ? file.capacity() >= std::max(before, bytes) : file.capacity() == before);
        VS_CHECK(status.ok() || disk.size == kHeader + before);
        VS_CHECK(is_zero({file.data() + before, file.capacity() - before}));
        // So that growing again after a cut is seen to give zeros.
        if (status.ok()) std::memset(file.data() + before, 0x55, file.capacity() - before);
        break;
      }
      case 1: {
        const Status status = file.shrink(bytes);
        VS_CHECK(file.capacity() == (status.ok() ? std::min(before, bytes) : before));
        break;
      }
      case 2: {
        const uint64_t part = std::min(bytes, before);
        const Status status = file.sync(part);
        VS_CHECK(status.ok() == ((disk.failing & (kSync | kSize)) == 0));
        VS_CHECK(disk.synced == kHeader + part);
        break;
      }
      case 3:
        VS_CHECK(file.verify(identity).ok() == ((disk.failing & (kSize | kRead)) == 0));
        break;
      default:
        if (bytes >= before) break;
        // Another program cuts the file. Whatever else fails, nobody is told that it is on the disk.
        disk.resize(kHeader + bytes);
        VS_CHECK(!file.sync(before).ok() && !file.verify(identity).ok());
        return;
    }
    check_bytes(file, disk);
  }
}

}  // namespace
}  // namespace vs::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs;
  using namespace vs::fuzz;
  Input input(data, size);
  const auto failing = input.take<uint8_t>();
  const FileIdentity identity = take_identity(input);
  Disk disk;
  const auto header = make_file(disk, identity, input);
  disk.failing = failing & static_cast<uint8_t>(~kForge);
  if ((failing & kForge) != 0) forge_checksum(disk);

  DiskFileSystem file_system(disk);
  auto file = MappedFile::open(file_system, "file", identity, kReserve, Access::kReadWrite);
  if (!file.ok()) {
    VS_CHECK(!file.status().message().empty());
    if (file.status().code() != Code::kCorrupt) VS_CHECK((disk.failing & (kSize | kRead | kMap)) != 0);
    return 0;
  }
  // Nothing but the header that create() writes is taken for this file's.
  VS_CHECK(std::equal(header.begin(), header.end(), disk.bytes.begin()));
  VS_CHECK(kHeader + file->capacity() == disk.size);
  check_bytes(*file, disk);
  operate(*file, disk, input, identity);
  return 0;
}
