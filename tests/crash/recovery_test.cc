// What a recovery brings to the disk.
#include <gtest/gtest.h>

#include <filesystem>
#include <future>

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

}  // namespace
}  // namespace vs::crash
