// What a recovery brings to the disk, and how writing goes on after a full one.
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <future>
#include <thread>

#include "storage/store.h"
#include "tests/crash/simulated_disk.h"
#include "tests/crash/workload.h"

namespace vs::crash {
namespace {

using storage::Database;
using storage::Durability;

// After a power failure links may have to be mended although the checkpoint covers all operations. The next clean end
// would call the files good, so that the start after it looks at nothing: what was mended has to be on the disk by then.
TEST(Recovery, SyncsWhatItMendedWithoutAReplay) {
  const std::string directory = work_directory();
  {
    std::filesystem::create_directories(directory + "/data");
    SimulatedDisk disk(directory + "/data");
    const auto opened = Database::open(database_options(directory + "/data", disk, Durability::kAlways, 1));
    ASSERT_TRUE(opened.ok()) << opened.status().to_string();
    ASSERT_TRUE((*opened)->create("c", {.dim = kDim, .m = 4, .ef_construction = 40, .seed = 7}).ok());
    const auto collection = *(*opened)->find("c");
    for (int i = 1; i <= 20; ++i) {
      std::promise<Status> done;
      collection->add({.id = std::to_string(i), .vector = vector_of(i), .attributes = {}},
                      [&](const Result<storage::AddReply>& r) { done.set_value(r.status()); });
      ASSERT_TRUE(done.get_future().get().ok());
    }
    ASSERT_TRUE((*opened)->checkpoint().ok());
    disk.snapshot().write_image(directory + "/image", 1);
  }
  SimulatedDisk disk(directory + "/image");
  int synced_files = 0;
  disk.on_call = [&](Call call, const std::string& path) {
    if (call == Call::kMsync && path.ends_with(".dat")) ++synced_files;
    return 0;
  };
  auto opened = Database::open(database_options(directory + "/image", disk, Durability::kAlways, 1));
  ASSERT_TRUE(opened.ok()) << opened.status().to_string();
  EXPECT_EQ((*(*opened)->find("c"))->stats().live, 20u);
  EXPECT_EQ(synced_files, 5);
  opened->reset();
  std::filesystem::remove_all(directory);
}

// The vacuum changes links without an operation. The start after a clean end looks at none of them.
TEST(Recovery, ACleanEndSyncsWhatTheVacuumChanged) {
  const std::string directory = work_directory();
  std::filesystem::create_directories(directory + "/data");
  SimulatedDisk disk(directory + "/data");
  auto opened = Database::open(database_options(directory + "/data", disk, Durability::kAlways, 1));
  ASSERT_TRUE(opened.ok()) << opened.status().to_string();
  ASSERT_TRUE((*opened)->create("c", {.dim = kDim, .m = 4, .ef_construction = 40, .seed = 7}).ok());
  const auto collection = *(*opened)->find("c");
  int added = 0;
  const auto unsynced_files = [&disk] {
    const Snapshot snapshot = disk.snapshot();
    return std::count_if(snapshot.names.begin(), snapshot.names.end(), [&](const auto& name) {
      if (!name.first.ends_with(".dat")) return false;
      const Snapshot::File& file = snapshot.files[static_cast<size_t>(name.second)];
      return file.later.back() != file.durable;
    });
  };
  // A vacuum that ends before the checkpoint proves nothing: then another one is provoked.
  for (int round = 0; unsynced_files() == 0 && round < 10; ++round) {
    std::vector<std::string> gone;
    for (int i = 0; i < 60; ++i) {
      std::promise<Status> done;
      gone.push_back(std::to_string(++added));
      collection->add({.id = gone.back(), .vector = vector_of(added), .attributes = {}},
                      [&](const Result<storage::AddReply>& r) { done.set_value(r.status()); });
      ASSERT_TRUE(done.get_future().get().ok());
    }
    gone.resize(30);
    std::promise<Status> done;
    collection->remove(gone, [&](const Result<storage::DeleteReply>& r) { done.set_value(r.status()); });
    ASSERT_TRUE(done.get_future().get().ok());
    ASSERT_TRUE((*opened)->checkpoint().ok());
    for (int tries = 0; unsynced_files() == 0 && tries < 30; ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
  ASSERT_GT(unsynced_files(), 0);
  ASSERT_TRUE((*opened)->close().ok());
  EXPECT_EQ(unsynced_files(), 0);
  opened->reset();
  std::filesystem::remove_all(directory);
}

constexpr storage::CollectionNumber kNumber{1};

// RocksDB's compactions run in threads of one name, its flushes in those of another.
bool in_compaction() {
  std::array<char, 16> name{};
  return ::pthread_getname_np(::pthread_self(), name.data(), name.size()) == 0 &&
         std::string_view(name.data()).starts_with("rocksdb:low");
}

Status write(storage::Store& store, Lsn lsn) {
  const std::string value(100, 'v');
  storage::Store::Batch batch(store);
  batch.put_record(kNumber, Lsn{1}, value);  // in every table: else a compaction only renames
  batch.put_record(kNumber, lsn, value);
  return store.write(batch, false);
}

// Writes tables until RocksDB compacts and that is noticed; `lsn` is the last one.
void write_tables(storage::Store& store, uint64_t& lsn, const std::atomic<int>& noticed) {
  for (int tables = 0; tables < 100 && noticed == 0; ++tables) {
    ASSERT_TRUE(write(store, Lsn{++lsn}).ok());
    ASSERT_TRUE(store.flush().ok());
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  ASSERT_GT(noticed, 0);
}

// A full disk ends a compaction first, which RocksDB calls a soft error, and then a flush, after which it takes no writes.
// As soon as there is room again, so it is for writes: without a wait for RocksDB to look by itself.
TEST(Recovery, WritesGoOnAfterACompactionAndAFlushFoundTheDiskFull) {
  const std::string directory = work_directory();
  std::filesystem::create_directories(directory);
  SimulatedDisk disk(directory);
  std::atomic<bool> full_for_compactions{true};
  std::atomic<bool> full{false};
  std::atomic<int> failed_compactions{0};
  disk.on_call = [&](Call call, const std::string& path) {
    if (call == Call::kFreeSpace) return full_for_compactions ? ENOSPC : 0;
    if (call != Call::kWrite || !path.ends_with(".sst")) return 0;
    if (full_for_compactions && in_compaction()) {
      ++failed_compactions;
      return ENOSPC;
    }
    return full ? ENOSPC : 0;
  };
  {
    auto store = storage::Store::open(directory, disk.env(), storage::Access::kReadWrite, 64u << 20);
    ASSERT_TRUE(store.ok()) << store.status().to_string();
    ASSERT_TRUE((*store)->start_compactions().ok());
    uint64_t lsn = 1;
    ASSERT_NO_FATAL_FAILURE(write_tables(**store, lsn, failed_compactions));
    ASSERT_TRUE(write(**store, Lsn{++lsn}).ok());
    full = true;
    EXPECT_EQ((*store)->flush().code(), Code::kNoSpace);
    EXPECT_EQ(write(**store, Lsn{++lsn}).code(), Code::kNoSpace);
    full = full_for_compactions = false;
    const Status resumed = (*store)->resume(storage::LogSpace::Use::kOrdinary);
    EXPECT_TRUE(resumed.ok()) << resumed.to_string();
    EXPECT_TRUE(write(**store, Lsn{++lsn}).ok());
    std::atomic<bool> cancelled{false};
    EXPECT_TRUE((*store)->compact_records(kNumber, cancelled).ok());
  }
  std::filesystem::remove_all(directory);
}

// Nor does the failed compaction stand in the way when no flush failed: it is tried again.
TEST(Recovery, CompactionsGoOnAfterOneFoundTheDiskFull) {
  const std::string directory = work_directory();
  std::filesystem::create_directories(directory);
  SimulatedDisk disk(directory);
  std::atomic<bool> full{true};
  std::atomic<int> failed{0};
  std::atomic<int> written{0};
  disk.on_call = [&](Call call, const std::string& path) {
    if (call == Call::kFreeSpace) return full ? ENOSPC : 0;
    if (call != Call::kWrite || !path.ends_with(".sst") || !in_compaction()) return 0;
    ++(full ? failed : written);
    return full ? ENOSPC : 0;
  };
  {
    auto store = storage::Store::open(directory, disk.env(), storage::Access::kReadWrite, 64u << 20);
    ASSERT_TRUE(store.ok()) << store.status().to_string();
    ASSERT_TRUE((*store)->start_compactions().ok());
    uint64_t lsn = 1;
    ASSERT_NO_FATAL_FAILURE(write_tables(**store, lsn, failed));
    full = false;
    for (int tries = 0; tries < 300 && written == 0; ++tries)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_GT(written, 0);
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace vs::crash
