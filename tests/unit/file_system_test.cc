// What a failed allocation leaves behind.
#include "storage/file_system.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>

#include "tests/unit/test_util.h"

namespace vs::storage {
namespace {

constexpr uint64_t kMib = 1u << 20;

uint64_t blocks_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return static_cast<uint64_t>(status.st_blocks);
}

// Grows a file to `most`, which succeeds, then to `too_much`; the second must leave no trace.
void expect_old_size(const std::string& path, uint64_t most, uint64_t too_much, Code code) {
  const auto file = posix_file_system().create(path);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  ASSERT_TRUE((*file)->allocate(most).ok());
  const uint64_t blocks = blocks_of(path);
  EXPECT_EQ((*file)->allocate(too_much).code(), code);
  EXPECT_EQ(*(*file)->size(), most);
  EXPECT_LE(blocks_of(path), blocks + 64) << "ext4 keeps a block for the list of blocks; no more";
}

TEST(FileSystemTest, AnAllocationBeyondTheLimitOfFileSizes) {
  const test::TemporaryDirectory directory;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 2 * kMib;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);  // then the call fails with EFBIG
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_old_size(directory.path() + "/file", kMib, 3 * kMib, Code::kIoError);
  EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
}

// On ext4 such a call takes what there is and leaves the file grown. The disk is one of tests/crash/test_disk_full.py.
TEST(FileSystemTest, AnAllocationBeyondTheEndOfTheDisk) {
  const char* const disk = std::getenv("VS_SMALL_DISK");
  if (disk == nullptr) GTEST_SKIP() << "VS_SMALL_DISK names no directory on a small file system";
  const auto free = posix_file_system().free_bytes(disk);
  ASSERT_TRUE(free.ok());
  ASSERT_LT(*free, 1024 * kMib) << "this would fill a disk that is not small";
  expect_old_size(std::string(disk) + "/file", kMib, *free + 8 * kMib, Code::kNoSpace);
}

TEST(FileSystemTest, FreeIsLessThanTotal) {
  const test::TemporaryDirectory directory;
  const auto total = posix_file_system().total_bytes(directory.path());
  const auto free = posix_file_system().free_bytes(directory.path());
  ASSERT_TRUE(total.ok() && free.ok());
  EXPECT_GT(*free, 0u);
  EXPECT_LE(*free, *total);
}

}  // namespace
}  // namespace vs::storage
