// The lock of a data directory. What the programs say about it: tests/integration/test_lock.py.
#include "storage/file_system.h"
#include "tests/unit/test_util.h"

namespace vs::storage {
namespace {

namespace fs = std::filesystem;

class LockTest : public testing::Test {
 protected:
  Result<std::unique_ptr<DirectoryLock>> lock(Access access) { return posix_file_system().lock(path_, access); }

  test::TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/LOCK";
};

TEST_F(LockTest, OneWriterOrSeveralReaders) {
  {
    const auto writer = lock(Access::kReadWrite);
    ASSERT_TRUE(writer.ok()) << writer.status().to_string();
    EXPECT_EQ(lock(Access::kReadWrite).status().code(), Code::kBusy);
    EXPECT_EQ(lock(Access::kReadOnly).status().code(), Code::kBusy);
  }
  const auto reader = lock(Access::kReadOnly);
  ASSERT_TRUE(reader.ok()) << reader.status().to_string();
  EXPECT_TRUE(lock(Access::kReadOnly).ok());
  EXPECT_EQ(lock(Access::kReadWrite).status().code(), Code::kBusy);
}

TEST_F(LockTest, ARemovedLockFileFreesNothing) {
  {
    const auto writer = lock(Access::kReadWrite);
    ASSERT_TRUE(writer.ok()) << writer.status().to_string();
    fs::remove(path_);
    for (const Access access : {Access::kReadOnly, Access::kReadWrite}) {
      const auto second = lock(access);
      EXPECT_EQ(second.status().code(), Code::kBusy);
      EXPECT_NE(second.status().message().find(path_), std::string::npos) << second.status().message();
    }
    EXPECT_FALSE(fs::exists(path_)) << "who is refused changes nothing";
  }
  const auto reader = lock(Access::kReadOnly);
  ASSERT_TRUE(reader.ok()) << reader.status().to_string();
  EXPECT_FALSE(fs::exists(path_)) << "a reader changes nothing";
  EXPECT_EQ(lock(Access::kReadWrite).status().code(), Code::kBusy);
}

TEST_F(LockTest, ADirectoryThatIsMissing) {
  EXPECT_EQ(posix_file_system().lock(directory_.path() + "/none/LOCK", Access::kReadOnly).status().code(),
            Code::kNotFound);
}

}  // namespace
}  // namespace vs::storage
