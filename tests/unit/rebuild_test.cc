// Rebuilds and compactions of an open database, beside everything else that goes on.
#include <cmath>
#include <filesystem>
#include <map>
#include <thread>

#include "tests/unit/database_fixture.h"

namespace vs::storage {
namespace {

class RebuildTest : public StorageTest {
 protected:
  std::vector<float> random_vector() { return test::random_vector(random_, kDim); }

  void fill(Collection& collection, int first, int last) {
    for (int i = first; i < last; ++i) {
      const std::string id = "p" + std::to_string(i);
      vectors_[id] = random_vector();
      ASSERT_TRUE(add(collection, id, vectors_[id], R"({"n":)" + std::to_string(i) + "}").ok());
    }
  }
  void erase(Collection& collection, int first, int last) {
    for (int i = first; i < last; ++i) {
      ASSERT_TRUE(remove(collection, {"p" + std::to_string(i)}).ok());
      vectors_.erase("p" + std::to_string(i));
    }
  }
  Result<RebuildReport> rebuild(const std::string& name, const RebuildOptions& options = {}) {
    Progress progress;
    return database_->rebuild(name, options, progress);
  }
  // Exactly the points of vectors_, each found by its vector; and a deep check finds nothing.
  void expect_whole(Database& database, const std::string& name) {
    Progress progress;
    const auto report = database.check(name, {.deep = true}, progress);
    ASSERT_TRUE(report.ok()) << report.status().to_string();
    EXPECT_TRUE(report->clean()) << (report->problems.empty() ? "" : report->problems[0].detail);
    const auto collection = *database.find(name);
    std::set<std::string> ids;
    for (const auto& [id, vector] : vectors_) ids.insert(id);
    EXPECT_EQ(all_ids(*collection), ids);
    for (const auto& [id, vector] : vectors_) {
      const auto point = collection->get(id, {.vector = true});
      ASSERT_TRUE(point.ok()) << point.status().to_string();
      EXPECT_EQ(point->vector, vector) << id;
      EXPECT_EQ(ids_of(collection->search({.vector = vector, .k = 1, .ef = 100})), std::vector{id});
    }
  }

  std::map<std::string, std::vector<float>> vectors_;
};

TEST_F(RebuildTest, DeletedPointsLoseTheirSlots) {
  const auto collection = create("points");
  fill(*collection, 0, 400);
  erase(*collection, 100, 300);
  fill(*collection, 0, 50);  // replaced
  EXPECT_EQ(collection->stats().deleted, 250u);
  const auto report = rebuild("points");
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_EQ(report->points, 200u);
  EXPECT_EQ(report->deleted_slots, 250u);
  EXPECT_EQ(collection->stats().deleted, 0u);
  EXPECT_EQ(collection->stats().generation, 2u);
  expect_whole(*database_, "points");
  expect_whole(*open_crashed_copy(), "points");
  reopen();
  expect_whole(*database_, "points");
}

TEST_F(RebuildTest, TakesOtherOptionsAndKeepsThem) {
  const auto collection = create("points");
  fill(*collection, 0, 300);
  ASSERT_TRUE(rebuild("points", {.m = 12, .ef_construction = 33}).ok());
  const auto expect_options = [](const CollectionConfig& config) {
    EXPECT_EQ(config.m, 12u);
    EXPECT_EQ(config.ef_construction, 33u);
    EXPECT_NEAR(config.ml, 1 / std::log(12), 1e-9);
    EXPECT_EQ(config.dim, kDim);
  };
  expect_options(collection->config());
  fill(*collection, 300, 320);
  expect_whole(*database_, "points");
  reopen();
  expect_options(find("points")->config());
  expect_whole(*database_, "points");

  ASSERT_TRUE(rebuild("points", {.ml = 0.5}).ok());
  EXPECT_EQ(find("points")->config().ml, 0.5);
  ASSERT_TRUE(rebuild("points", {.ef_construction = 50}).ok());
  EXPECT_EQ(find("points")->config().ml, 0.5);
  EXPECT_EQ(rebuild("points", {.m = 1}).status().code(), Code::kBadArgument);
  EXPECT_EQ(rebuild("none").status().code(), Code::kNotFound);
}

TEST_F(RebuildTest, EfSearchIsAlteredWithoutOne) {
  const auto collection = create("points");
  fill(*collection, 0, 100);
  const auto ef = [&] {
    const auto reply = find("points")->search({.vector = vectors_["p1"], .k = 1});
    return reply.ok() ? reply->ef : 0;
  };
  EXPECT_EQ(ef(), 64u);
  const auto altered = database_->alter("points", 99);
  ASSERT_TRUE(altered.ok()) << altered.status().to_string();
  EXPECT_EQ(altered->ef_search, 99u);
  EXPECT_EQ(altered->m, 8u);
  EXPECT_EQ(ef(), 99u);
  EXPECT_EQ(collection->config().ef_search, 99u);
  EXPECT_EQ(collection->stats().config.ef_search, 99u);
  EXPECT_EQ((*open_crashed_copy()->find("points"))->config().ef_search, 99u);
  ASSERT_TRUE(database_->checkpoint().ok());
  reopen();
  EXPECT_EQ(ef(), 99u);
  for (const uint32_t bad : {0u, limits::kEfMax + 1})
    EXPECT_EQ(database_->alter("points", bad).status().code(), Code::kBadArgument);
  EXPECT_EQ(database_->alter("none", 5).status().code(), Code::kNotFound);
  EXPECT_EQ(ef(), 99u);
  expect_whole(*database_, "points");
}

TEST_F(RebuildTest, EfSearchThatWasAlteredMeanwhileStays) {
  const auto collection = create("points");
  fill(*collection, 0, 2000);
  Progress progress;
  Result<RebuildReport> report = Status{Code::kInternal, "not run"};
  std::thread rebuilding([&] { report = database_->rebuild("points", {.m = 12}, progress); });
  while (progress.done == 0) std::this_thread::yield();
  EXPECT_TRUE(database_->alter("points", 77).ok());
  rebuilding.join();
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_EQ(report->config.ef_search, 77u);
  EXPECT_EQ(collection->config().ef_search, 77u);
  EXPECT_EQ(collection->config().m, 12u);
  EXPECT_EQ((*open_crashed_copy()->find("points"))->config().ef_search, 77u);
  reopen();
  EXPECT_EQ(find("points")->config().ef_search, 77u);
}

TEST_F(RebuildTest, AnEmptyCollectionAndOneWhoseLastPointIsGone) {
  const auto collection = create("points");
  ASSERT_TRUE(rebuild("points").ok());
  expect_whole(*database_, "points");
  fill(*collection, 0, 3);
  erase(*collection, 0, 3);
  const auto report = rebuild("points");
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->deleted_slots, 3u);
  expect_whole(*open_crashed_copy(), "points");
  fill(*collection, 0, 3);
  expect_whole(*database_, "points");
}

TEST_F(RebuildTest, OnlyTheGenerationInUseHasFiles) {
  const auto collection = create("points");
  fill(*collection, 0, 20);
  ASSERT_TRUE(rebuild("points").ok());
  ASSERT_TRUE(rebuild("points").ok());
  const std::filesystem::path directory = std::filesystem::path(generation_directory()).parent_path();
  std::vector<std::string> generations;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    generations.push_back(entry.path().filename());
  EXPECT_EQ(generations, std::vector<std::string>{"3"});
}

TEST_F(RebuildTest, ACancelledOneChangesNothing) {
  const auto collection = create("points");
  fill(*collection, 0, 50);
  Progress progress;
  progress.cancelled = true;
  EXPECT_EQ(database_->rebuild("points", {}, progress).status().code(), Code::kShuttingDown);
  EXPECT_EQ(collection->stats().generation, 1u);
  fill(*collection, 40, 60);
  expect_whole(*database_, "points");
  ASSERT_TRUE(rebuild("points").ok());
  expect_whole(*database_, "points");
}

TEST_F(RebuildTest, DeletedVectorsLeaveRocksDb) {
  const auto created = database_->create("points", {.dim = 1024, .m = 4, .ef_construction = 10, .seed = 3});
  ASSERT_TRUE(created.ok());
  const auto collection = find("points");
  std::vector<float> vector(1024);
  for (int i = 0; i < 1000; ++i) {
    vector[0] = static_cast<float>(i);
    ASSERT_TRUE(add(*collection, "p" + std::to_string(i), vector).ok());
  }
  const auto size = [&] {
    uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path() + "/data/rocksdb")) {
      const std::string name = entry.path().extension();
      if (name == ".blob" || name == ".sst") bytes += entry.file_size();
    }
    return bytes;
  };
  ASSERT_TRUE(rebuild("points").ok());
  const uint64_t before = size();
  EXPECT_GT(before, 4'000'000u);
  for (int i = 0; i < 1000; i += 2) ASSERT_TRUE(remove(*collection, {"p" + std::to_string(i)}).ok());
  ASSERT_TRUE(rebuild("points").ok());
  EXPECT_LT(size(), before * 55 / 100);
}

// Writers, deletes and searches go on through several switches; what was acknowledged is there after each.
TEST_F(RebuildTest, ConcurrentWritesAndSearchesGoOn) {
  const auto collection = create("points");
  fill(*collection, 0, 500);
  constexpr int kWriters = 3;
  std::atomic<bool> stop{false};
  std::vector<std::map<std::string, std::vector<float>>> written(kWriters);
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) {
    threads.emplace_back([&, w] {
      std::mt19937 random(static_cast<unsigned>(w));
      for (int i = 0; !stop; ++i) {
        const std::string id = "w" + std::to_string(w) + "-" + std::to_string(i % 100);
        if (i % 3 == 2) {
          ASSERT_TRUE(remove(*collection, {id}).ok());
          written[static_cast<size_t>(w)].erase(id);
          continue;
        }
        const auto vector = test::random_vector(random, kDim);
        ASSERT_TRUE(add(*collection, id, vector).ok());
        written[static_cast<size_t>(w)][id] = vector;
        // Acknowledged is visible, on either side of a switch.
        const auto found = ids_of(collection->search({.vector = vector, .k = 1, .ef = 200}));
        ASSERT_EQ(found, std::vector{id});
      }
    });
  }
  threads.emplace_back([&] {
    std::mt19937 random(99);
    while (!stop) {
      const auto reply = collection->search({.vector = test::random_vector(random, kDim), .k = 400, .ef = 400});
      ASSERT_TRUE(reply.ok()) << reply.status().to_string();
      ASSERT_EQ(reply->matches.size(), 400u);
    }
  });
  // They trim what the rebuild has not read yet.
  threads.emplace_back([&] {
    while (!stop) {
      ASSERT_TRUE(database_->checkpoint().ok());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  for (int round = 0; round < 6; ++round) {
    const auto report = rebuild("points", {.ef_construction = 40 + static_cast<uint32_t>(round)});
    ASSERT_TRUE(report.ok()) << report.status().to_string();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  for (const auto& points : written) vectors_.insert(points.begin(), points.end());
  expect_whole(*database_, "points");
  expect_whole(*open_crashed_copy(), "points");
}

TEST_F(RebuildTest, ADropEndsIt) {
  const auto collection = create("points");
  fill(*collection, 0, 2000);
  std::thread drop([&] { ASSERT_TRUE(database_->drop("points").ok()); });
  const auto report = rebuild("points");
  drop.join();
  if (!report.ok()) {
    EXPECT_EQ(report.status().code(), Code::kNotFound) << report.status().to_string();
  }
  EXPECT_EQ(database_->find("points").status().code(), Code::kNotFound);
  vectors_.clear();
  fill(*create("points"), 0, 10);
  reopen();
  expect_whole(*database_, "points");
}

TEST_F(RebuildTest, IsAskedForWhenEnoughIsDeleted) {
  std::mutex mutex;
  std::vector<std::string> asked;
  database_->on_compaction_due([&](const std::string& name) {
    std::lock_guard<std::mutex> lock(mutex);
    asked.push_back(name);
  });
  const auto collection = create("points");
  create("other");
  fill(*collection, 0, 1000);
  erase(*collection, 0, 260);
  for (int i = 0; i < 100; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    std::lock_guard<std::mutex> lock(mutex);
    if (!asked.empty()) break;
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  std::lock_guard<std::mutex> lock(mutex);
  EXPECT_EQ(asked, std::vector<std::string>{"points"});
}

}  // namespace
}  // namespace vs::storage
