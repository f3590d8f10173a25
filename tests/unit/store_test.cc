#include "storage/store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/unit/test_util.h"

namespace vs::storage {
namespace {

constexpr CollectionNumber kNumber{1};

bool in_any_file(const std::string& directory, const std::string& text) {
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    if (bytes.find(text) != std::string::npos) return true;
  }
  return false;
}

// The flush at the beginning of compact_records() makes the fourth table, at which RocksDB begins a compaction by itself.
// Records of this size are in blob files, or in the tables themselves.
class StoreCompaction : public testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Sizes, StoreCompaction, testing::Values(4000, 100));

TEST_P(StoreCompaction, LeavesNoDeletedRecordBesideOneThatRocksDbBegan) {
  const test::TemporaryDirectory directory;
  auto store = Store::open(directory.path(), nullptr, Access::kReadWrite);
  ASSERT_TRUE(store.ok()) << store.status().to_string();
  ASSERT_TRUE((*store)->start_compactions().ok());
  const std::string vector(GetParam(), 'v');
  uint64_t lsn = 0;
  for (int round = 0; round < 10; ++round) {
    const std::string secret = "secret of round " + std::to_string(round) + ";";
    for (int table = 0; table < 3; ++table) {
      Store::Batch batch(**store);
      for (int i = 0; i < 200; ++i) batch.put_record(kNumber, Lsn{++lsn}, (i % 2 == 0 ? secret : "kept") + vector);
      ASSERT_TRUE((*store)->write(batch, false).ok());
      ASSERT_TRUE((*store)->flush().ok());
    }
    ASSERT_TRUE(in_any_file(directory.path(), secret));
    Store::Batch batch(**store);
    for (uint64_t i = lsn - 600; i < lsn; i += 2) batch.delete_record(kNumber, Lsn{i + 1});
    ASSERT_TRUE((*store)->write(batch, false).ok());
    std::atomic<bool> cancelled{false};
    ASSERT_TRUE((*store)->compact_records(kNumber, cancelled).ok());
    EXPECT_FALSE(in_any_file(directory.path(), secret)) << "round " << round;
  }
}

}  // namespace
}  // namespace vs::storage
