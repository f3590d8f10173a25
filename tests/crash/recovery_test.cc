// What a recovery brings to the disk.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>
#include <thread>

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

}  // namespace
}  // namespace vs::crash
