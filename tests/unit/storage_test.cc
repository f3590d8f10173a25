// The database as the daemon uses it, on real files and a real RocksDB.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <fstream>
#include <map>
#include <thread>

#include "storage/mapped_file.h"
#include "storage/record.h"
#include "tests/unit/database_fixture.h"

namespace vs::storage {
namespace {

namespace fs = std::filesystem;

TEST_F(StorageTest, AddGetSearchDelete) {
  const auto c = create("points");
  const auto v = test::random_vector(random_, kDim);
  const auto first = add(*c, "a", v, R"({"label":7})");
  ASSERT_TRUE(first.ok()) << first.status().to_string();
  EXPECT_EQ(first->lsn, Lsn{1});
  EXPECT_TRUE(first->created);
  const auto got = c->get("a", {.attributes = true, .vector = true});
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->vector, v);
  EXPECT_EQ(got->attributes, R"({"label":7})");
  const auto found = c->search({.vector = v});
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(ids_of(found), std::vector<std::string>{"a"});
  EXPECT_EQ(found->matches[0].distance, 0);

  const auto deleted = remove(*c, {"a", "b", "a"});
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(deleted->deleted, 1u);
  EXPECT_EQ(deleted->missing, std::vector<std::string>{"b"});
  EXPECT_EQ(c->get("a", {}).status().code(), Code::kNotFound);
  EXPECT_TRUE(c->search({.vector = v})->matches.empty());
  const auto stats = c->stats();
  EXPECT_EQ(stats.live, 0u);
  EXPECT_EQ(stats.deleted, 1u);
  EXPECT_EQ(stats.lsn, Lsn{2});
}

TEST_F(StorageTest, UpsertReplacesAndConditionsHold) {
  const auto c = create("points");
  const auto v = test::random_vector(random_, kDim);
  const auto w = test::random_vector(random_, kDim);
  EXPECT_EQ(add(*c, "a", v, {}, AddRequest::If::kPresent).status().code(), Code::kNotFound);
  ASSERT_TRUE(add(*c, "a", v, R"({"x":1})", AddRequest::If::kAbsent).ok());
  EXPECT_EQ(add(*c, "a", w, {}, AddRequest::If::kAbsent).status().code(), Code::kExists);
  EXPECT_EQ(c->get("a", {.vector = true})->vector, v);
  const auto replaced = add(*c, "a", w, {}, AddRequest::If::kPresent);
  ASSERT_TRUE(replaced.ok());
  EXPECT_FALSE(replaced->created);
  EXPECT_EQ(c->get("a", {.attributes = true, .vector = true})->vector, w);
  EXPECT_EQ(c->get("a", {.attributes = true})->attributes, "{}");
  EXPECT_EQ(c->search({.vector = v})->matches.size(), 1u);
  EXPECT_EQ(c->stats().live, 1u);
}

TEST_F(StorageTest, RefusesWhatCannotBeStored) {
  const auto c = create("points", Metric::kCosine);
  EXPECT_EQ(add(*c, "a", {1, 2}).status().code(), Code::kDimensionMismatch);
  EXPECT_EQ(add(*c, "a", std::vector<float>(kDim)).status().code(), Code::kZeroVector);
  std::vector<float> v(kDim, 1);
  v[3] = std::nanf("");
  EXPECT_EQ(add(*c, "a", v).status().code(), Code::kNotFinite);
  EXPECT_EQ(c->stats().lsn, Lsn{0});
  EXPECT_EQ(c->search({.vector = {1}}).status().code(), Code::kDimensionMismatch);
  EXPECT_EQ(c->search({.vector = std::vector<float>(kDim, 1), .k = 0}).status().code(), Code::kBadArgument);
  EXPECT_EQ(c->search({.id = "nobody"}).status().code(), Code::kNotFound);
}

TEST_F(StorageTest, SearchByIdLeavesItOutAndRadiusCuts) {
  const auto c = create("points");
  for (int i = 0; i < 10; ++i) {
    std::vector<float> v(kDim);
    v[0] = static_cast<float>(i);
    ASSERT_TRUE(add(*c, "p" + std::to_string(i), v).ok());
  }
  EXPECT_EQ(ids_of(c->search({.id = "p0", .k = 3})), (std::vector<std::string>{"p1", "p2", "p3"}));
  // p4 and p6 are equally far: the older comes first.
  EXPECT_EQ(ids_of(c->search({.id = "p5", .k = 2})), (std::vector<std::string>{"p4", "p6"}));
  EXPECT_EQ(ids_of(c->search({.vector = std::vector<float>(kDim), .radius = 2.0f})),
            (std::vector<std::string>{"p0", "p1", "p2"}));
  const auto exact = c->search({.vector = std::vector<float>(kDim), .k = 4, .exact = true});
  EXPECT_EQ(ids_of(exact), (std::vector<std::string>{"p0", "p1", "p2", "p3"}));
  EXPECT_TRUE(exact->exact);
  EXPECT_EQ(exact->distances, 10u);
}

TEST_F(StorageTest, CosineKeepsTheVectorVerbatim) {
  const auto c = create("points", Metric::kCosine);
  const std::vector<float> v = {3, 4, 0, 0, 0, 0, 0, 0};
  ASSERT_TRUE(add(*c, "a", v).ok());
  EXPECT_EQ(c->get("a", {.vector = true})->vector, v);
  const auto found = c->search({.vector = {30, 40, 0, 0, 0, 0, 0, 0}});
  EXPECT_NEAR(found->matches[0].distance, 0, 1e-6);
}

TEST_F(StorageTest, CollectionsComeAndGo) {
  create("b");
  create("a");
  EXPECT_EQ(database_->names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(database_->create("a", {.dim = 3}).status().code(), Code::kExists);
  EXPECT_EQ(database_->create("c", {.dim = 0}).status().code(), Code::kBadArgument);
  EXPECT_EQ(database_->create("c", {.dim = 3, .m = 1}).status().code(), Code::kBadArgument);
  const auto a = find("a");
  ASSERT_TRUE(add(*a, "x", std::vector<float>(kDim, 1)).ok());
  ASSERT_TRUE(database_->drop("a").ok());
  EXPECT_EQ(database_->drop("a").code(), Code::kNotFound);
  EXPECT_EQ(a->get("x", {}).status().code(), Code::kNotFound);
  EXPECT_EQ(add(*a, "y", std::vector<float>(kDim, 1)).status().code(), Code::kNotFound);
  const auto again = create("a");
  EXPECT_EQ(again->get("x", {}).status().code(), Code::kNotFound);
  reopen();
  EXPECT_EQ(database_->names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(find("a")->stats().live, 0u);
}

TEST_F(StorageTest, SurvivesCloseAndOpen) {
  const auto config = create("points")->config();
  {
    const auto c = find("points");
    for (int i = 0; i < 300; ++i) ASSERT_TRUE(add(*c, std::to_string(i), test::random_vector(random_, kDim)).ok());
    ASSERT_TRUE(remove(*c, {"5", "6", "7"}).ok());
  }
  reopen();
  const auto c = find("points");
  EXPECT_EQ(c->config().seed, config.seed);
  const auto stats = c->stats();
  EXPECT_EQ(stats.live, 297u);
  EXPECT_EQ(stats.lsn, Lsn{303});
  EXPECT_EQ(stats.checkpoint_lsn, Lsn{303});
  EXPECT_EQ(all_ids(*c).size(), 297u);
  ASSERT_TRUE(add(*c, "new", test::random_vector(random_, kDim)).ok());
  EXPECT_EQ(c->stats().lsn, Lsn{304});
}

// Every acknowledged operation, in a copy taken at that moment, with and without checkpoints in between.
TEST_F(StorageTest, RecoversWhatWasAcknowledged) {
  const auto c = create("points");
  std::map<std::string, std::vector<float>> expected;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 150; ++i) {
      const std::string id = "p" + std::to_string(random_() % 200);
      if (random_() % 4 == 0) {
        ASSERT_TRUE(remove(*c, {id}).ok());
        expected.erase(id);
      } else {
        const auto v = test::random_vector(random_, kDim);
        ASSERT_TRUE(add(*c, id, v).ok());
        expected[id] = v;
      }
    }
    const auto copy = open_crashed_copy();
    ASSERT_TRUE(copy);
    const auto recovered = *copy->find("points");
    EXPECT_EQ(recovered->stats().live, expected.size());
    EXPECT_EQ(recovered->stats().lsn, c->stats().lsn);
    std::set<std::string> ids;
    for (const auto& [id, vector] : expected) {
      ids.insert(id);
      const auto got = recovered->get(id, {.vector = true});
      ASSERT_TRUE(got.ok()) << id;
      EXPECT_EQ(got->vector, vector);
      const auto found = recovered->search({.vector = vector, .k = 1});
      ASSERT_EQ(found->matches.size(), 1u);
      EXPECT_EQ(found->matches[0].point.id, id);
    }
    EXPECT_EQ(all_ids(*recovered), ids);
    if (round % 2 == 0) {
      ASSERT_TRUE(database_->checkpoint().ok());
    }
  }
}

TEST_F(StorageTest, RebuildsDeletedAndDamagedFiles) {
  {
    const auto c = create("points");
    for (int i = 0; i < 200; ++i) ASSERT_TRUE(add(*c, std::to_string(i), test::random_vector(random_, kDim)).ok());
    ASSERT_TRUE(remove(*c, {"0", "199"}).ok());
  }
  uint64_t generation = find("points")->stats().generation;
  for (const char* file : {"rows.dat", "ids.dat", "vectors.dat", "links0.dat", "upper.dat"}) {
    for (const int damage : {0, 1, 2}) {
      database_.reset();
      const std::string path = generation_directory() + "/" + file;
      if (damage == 0) fs::remove(path);
      if (damage == 1) fs::resize_file(path, 100);
      if (damage == 2) std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(20).put('X');
      reopen();
      const auto c = find("points");
      EXPECT_EQ(c->stats().generation, ++generation) << path << " " << damage;
      EXPECT_EQ(c->stats().live, 198u);
      EXPECT_EQ(c->stats().lsn, Lsn{202});
      const auto got = c->get("77", {.vector = true});
      ASSERT_TRUE(got.ok());
      EXPECT_EQ(ids_of(c->search({.vector = got->vector, .k = 1})), std::vector<std::string>{"77"});
    }
  }
}

// Deletes that are durable, and not applied when the checkpoint is taken, are needed by the next start.
TEST_F(StorageTest, ACheckpointTrimsOnlyWhatItCovers) {
  ASSERT_TRUE(database_->create("points", {.dim = kDim, .m = 8, .ef_construction = 1000, .seed = 3}).ok());
  const auto points = find("points");
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(add(*points, "p" + std::to_string(i), test::random_vector(random_, kDim)).ok());
  // Adds that take long to link, and deletes behind them.
  constexpr uint64_t kAdds = 1500;
  std::vector<std::string> ids;
  for (int i = 0; i < 50; ++i) ids.push_back("p" + std::to_string(i));
  for (uint64_t i = 0; i < kAdds; ++i) {
    points->add({"q" + std::to_string(i), test::random_vector(random_, kDim), {}, {}}, [](const Result<AddReply>&) {});
  }
  points->remove(ids, [](const Result<DeleteReply>&) {});
  const uint64_t last = 100 + kAdds + ids.size();
  while (points->stats().lsn.value < last) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ASSERT_TRUE(database_->checkpoint().ok());
  ASSERT_LT(points->stats().checkpoint_lsn.value, last - ids.size()) << "nothing was under way";

  const auto copy = open_crashed_copy();
  ASSERT_NE(copy, nullptr);
  const auto recovered = *copy->find("points");
  EXPECT_EQ(recovered->stats().live, 50 + kAdds);
  const std::set<std::string> found = all_ids(*recovered);
  for (const std::string& id : ids) EXPECT_FALSE(found.contains(id)) << id;
}

TEST_F(StorageTest, ACheckpointInStepsTrimsAllThatItCovers) {
  database_.reset();
  DatabaseOptions in_steps = options();
  in_steps.trimmed_at_once = 2;
  database_ = *Database::open(in_steps);
  const auto points = create("points");
  for (int version = 0; version < 3; ++version) {
    for (int i = 0; i < 50; ++i)
      ASSERT_TRUE(add(*points, "p" + std::to_string(i), test::random_vector(random_, kDim)).ok());
  }
  ASSERT_TRUE(remove(*points, {"p0", "p1", "p2"}).ok());
  ASSERT_TRUE(database_->checkpoint().ok());
  EXPECT_EQ(points->stats().checkpoint_lsn, points->stats().lsn);
  Progress progress;
  const auto report = database_->check("points", {.deep = true}, progress);
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_TRUE(report->clean()) << "what was replaced is still there";
  EXPECT_EQ(all_ids(**open_crashed_copy()->find("points")).size(), 47u);
}

TEST_F(StorageTest, AcknowledgedDataThatRocksDbLostIsReported) {
  database_.reset();
  const std::string data = directory_.path() + "/data";
  fs::remove_all(data);
  reopen();
  create("points");
  create("other");
  ASSERT_TRUE(add(*find("points"), "a", std::vector<float>(kDim, 1)).ok());
  ASSERT_TRUE(database_->checkpoint().ok());
  const std::string old = directory_.path() + "/old";
  fs::copy(data + "/rocksdb", old, fs::copy_options::recursive);
  ASSERT_TRUE(add(*find("points"), "b", std::vector<float>(kDim, 2)).ok());
  // The files of now with the RocksDB of before, of a run that was not closed.
  const std::string mixed = directory_.path() + "/mixed";
  fs::copy(data, mixed, fs::copy_options::recursive);
  fs::remove_all(mixed + "/rocksdb");
  fs::copy(old, mixed + "/rocksdb", fs::copy_options::recursive);
  DatabaseOptions mixed_options = options();
  mixed_options.directory = mixed;
  const auto before = test::contents_of(mixed);
  const auto refused = Database::open(mixed_options);
  EXPECT_EQ(refused.status().code(), Code::kCorrupt);
  EXPECT_NE(refused.status().message().find("acknowledged data was lost"), std::string::npos);
  EXPECT_EQ(test::contents_of(mixed), before) << "a refused directory was changed";
  // The way out that the message names.
  for (const auto& entry : fs::recursive_directory_iterator(mixed + "/collections")) {
    if (entry.path().filename() != "rows.dat" || fs::file_size(entry.path()) == 4096) continue;
    fs::remove_all(entry.path().parent_path());
    break;
  }
  auto opened = Database::open(mixed_options);
  ASSERT_TRUE(opened.ok()) << opened.status().to_string();
  EXPECT_EQ(all_ids(**(*opened)->find("points")), std::set<std::string>{"a"});
}

TEST_F(StorageTest, ADeletionThatRocksDbLostIsReported) {
  create("points");
  ASSERT_TRUE(add(*find("points"), "a", std::vector<float>(kDim, 1)).ok());
  ASSERT_TRUE(add(*find("points"), "b", std::vector<float>(kDim, 2)).ok());
  const std::string data = directory_.path() + "/data";
  const std::string mixed = directory_.path() + "/mixed";
  fs::create_directories(mixed);
  fs::copy(data + "/rocksdb", mixed + "/rocksdb", fs::copy_options::recursive);
  ASSERT_TRUE(remove(*find("points"), {"a"}).ok());
  fs::copy(data + "/collections", mixed + "/collections", fs::copy_options::recursive);
  DatabaseOptions mixed_options = options();
  mixed_options.directory = mixed;
  const auto refused = Database::open(mixed_options);
  EXPECT_EQ(refused.status().code(), Code::kCorrupt);
  EXPECT_NE(refused.status().message().find("acknowledged data was lost"), std::string::npos);
}

TEST_F(StorageTest, CollectionsWithoutTheirRocksDbAreRefused) {
  create("points");
  ASSERT_TRUE(add(*find("points"), "a", std::vector<float>(kDim, 1)).ok());
  database_.reset();
  fs::rename(directory_.path() + "/data/rocksdb", directory_.path() + "/rocksdb");
  const auto before = test::contents_of(directory_.path() + "/data");
  EXPECT_EQ(Database::open(options()).status().code(), Code::kCorrupt);
  EXPECT_EQ(test::contents_of(directory_.path() + "/data"), before);
  fs::rename(directory_.path() + "/rocksdb", directory_.path() + "/data/rocksdb");
  reopen();
  EXPECT_EQ(find("points")->stats().live, 1u);
}

TEST_F(StorageTest, TrimsSupersededRecordsAtACheckpoint) {
  const auto c = create("points");
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(add(*c, "same", test::random_vector(random_, kDim)).ok());
  ASSERT_TRUE(add(*c, "gone", test::random_vector(random_, kDim)).ok());
  ASSERT_TRUE(remove(*c, {"gone"}).ok());
  ASSERT_TRUE(database_->checkpoint().ok());
  const auto copy = open_crashed_copy();
  ASSERT_TRUE(copy);
  EXPECT_EQ((*copy->find("points"))->stats().live, 1u);
  EXPECT_EQ((*copy->find("points"))->stats().lsn, Lsn{52});
  // Only the last "same" is left to rebuild from.
  database_.reset();
  fs::remove_all(generation_directory());
  reopen();
  EXPECT_EQ(find("points")->stats().live, 1u);
  EXPECT_EQ(find("points")->stats().deleted, 0u);
  EXPECT_EQ(find("points")->stats().lsn, Lsn{52});
}

TEST_F(StorageTest, ASecondDatabaseOnTheDirectoryIsRefused) {
  EXPECT_EQ(Database::open(options()).status().code(), Code::kBusy);
}

TEST_F(StorageTest, NoSpaceIsAnsweredAndReadsGoOn) {
  create("points");
  ASSERT_TRUE(add(*find("points"), "a", std::vector<float>(kDim, 1)).ok());
  database_.reset();
  DatabaseOptions full = options();
  full.free_space_reserve_bytes = uint64_t{1} << 60;
  auto opened = Database::open(full);
  ASSERT_TRUE(opened.ok());
  const auto c = *(*opened)->find("points");
  // Who is refused and asks at once is told why.
  std::promise<bool> told;
  c->add({.id = "b", .vector = std::vector<float>(kDim, 1)}, [&](const Result<AddReply>& reply) {
    EXPECT_EQ(reply.status().code(), Code::kNoSpace);
    told.set_value((*opened)->stats().no_space);
  });
  EXPECT_TRUE(told.get_future().get());
  EXPECT_EQ((*opened)->create("more", {.dim = 2}).status().code(), Code::kNoSpace);
  EXPECT_TRUE(c->get("a", {}).ok());
  EXPECT_EQ(c->stats().lsn, Lsn{1});
}

TEST_F(StorageTest, ConcurrentWritersReadersAndCheckpoints) {
  const auto c = create("points");
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < 300; ++i) {
        const std::string id = std::to_string(t) + "-" + std::to_string(random() % 50);
        if (random() % 3 == 0) {
          EXPECT_TRUE(remove(*c, {id}).ok());
          EXPECT_EQ(c->get(id, {}).status().code(), Code::kNotFound);
        } else {
          const auto v = test::random_vector(random, kDim);
          EXPECT_TRUE(add(*c, id, v).ok());
          const auto found = c->search({.vector = v, .k = 1});
          EXPECT_EQ(ids_of(found), std::vector<std::string>{id});
        }
      }
    });
  }
  std::thread reader([&] {
    std::mt19937 random(77);
    while (!done) {
      const auto found = c->search({.vector = test::random_vector(random, kDim), .k = 20});
      ASSERT_TRUE(found.ok());
      std::set<std::string> ids;
      for (const Match& match : found->matches) EXPECT_TRUE(ids.insert(match.point.id).second) << "twice in one reply";
      ASSERT_TRUE(c->scan({.limit = 50, .with = {.attributes = true, .vector = true, .links = true}}).ok());
    }
  });
  std::thread checkpointer([&] {
    while (!done) EXPECT_TRUE(database_->checkpoint().ok());
  });
  for (std::thread& thread : threads) thread.join();
  done = true;
  reader.join();
  checkpointer.join();
  EXPECT_EQ(all_ids(*c).size(), c->stats().live);
}

// It is there all the time, in an old slot or in a new one.
TEST_F(StorageTest, UpdatesDoNotHideAPoint) {
  create("points");
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(add(*find("points"), std::to_string(i), test::random_vector(random_, kDim)).ok());
  }
  const auto v = test::random_vector(random_, kDim);
  ASSERT_TRUE(add(*find("points"), "x", v).ok());
  std::atomic<bool> done{false};
  std::thread writer([&] {
    while (!done) EXPECT_TRUE(add(*find("points"), "x", v).ok());
  });
  for (int i = 0; i < 4'000; ++i) {
    const SearchRequest request{.vector = v, .k = 1, .exact = i % 10 == 0};
    const auto found = ids_of(find("points")->search(request));
    EXPECT_EQ(found, std::vector<std::string>{"x"});
    if (HasFailure()) break;
  }
  done = true;
  writer.join();
}

// SCAN shows links to live points only; so after the vacuum a point has about as many of them as before.
TEST_F(StorageTest, DeletionsAreRelinkedInTheBackgroundAlsoAfterARestart) {
  create("points");
  std::vector<std::vector<float>> vectors;
  for (int i = 0; i < 800; ++i) {
    vectors.push_back(test::random_vector(random_, kDim));
    ASSERT_TRUE(add(*find("points"), std::to_string(i), vectors.back()).ok());
  }
  std::vector<std::string> gone;
  for (int i = 0; i < 760; ++i) gone.push_back(std::to_string(i));
  ASSERT_EQ(remove(*find("points"), gone)->deleted, 760u);
  const auto search = [&](int i) {
    const auto reply = find("points")->search({.vector = vectors[static_cast<size_t>(i)], .k = 40, .ef = 40});
    EXPECT_EQ(reply->matches.size(), 40u);
    EXPECT_EQ(reply->matches.front().point.id, std::to_string(i));
    return reply->distances;
  };
  EXPECT_GT(search(770), 200u);
  reopen();  // before the maintenance thread, which looks once a second, has begun
  for (int tries = 0; search(770) > 100 && tries < 300; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_LE(search(770), 100u);
  for (int i = 760; i < 800; ++i) search(i);
  EXPECT_EQ(find("points")->stats().live, 40u);
}

// Whatever the share of the deleted, and before any vacuum.
TEST_F(StorageTest, KLivePointsAreFoundAtAnyShareOfDeleted) {
  create("points");
  const int points = 2000;
  for (int i = 0; i < points; ++i) {
    ASSERT_TRUE(add(*find("points"), std::to_string(i), test::random_vector(random_, kDim)).ok());
  }
  std::vector<std::string> order;
  for (int i = 0; i < points; ++i) order.push_back(std::to_string(i));
  std::shuffle(order.begin(), order.end(), random_);
  for (const uint32_t live : {1000u, 200u, 20u, 2u, 0u}) {
    std::vector<std::string> gone;
    while (order.size() > live) {
      gone.push_back(order.back());
      order.pop_back();
    }
    ASSERT_EQ(remove(*find("points"), gone)->deleted, gone.size());
    for (const uint32_t k : {1u, 10u, live / 2, live - 1, live, live + 1}) {
      if (k == 0 || k > limits::kKMax) continue;
      const auto reply = find("points")->search({.vector = test::random_vector(random_, kDim), .k = k, .ef = 1});
      ASSERT_TRUE(reply.ok());
      std::set<std::string> ids;
      for (const Match& match : reply->matches) ids.insert(match.point.id);
      EXPECT_EQ(ids.size(), std::min(k, live)) << live << " live, k=" << k;
      if (live != 200) {
        EXPECT_EQ(reply->exact, live <= 20) << live << " live, k=" << k;
      }
    }
  }
  // An update is found by its new vector at once.
  for (int i = 0; i < 100; ++i) {
    const auto v = test::random_vector(random_, kDim);
    ASSERT_TRUE(add(*find("points"), "x" + std::to_string(i % 10), v).ok());
    EXPECT_EQ(ids_of(find("points")->search({.vector = v, .k = 1})),
              std::vector<std::string>{"x" + std::to_string(i % 10)});
  }
}

TEST_F(StorageTest, ScanGivesInsertionOrderAndLinks) {
  const auto c = create("points");
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(add(*c, "p" + std::to_string(i), test::random_vector(random_, kDim)).ok());
  const auto page = c->scan({.limit = 30, .with = {.attributes = false, .vector = true, .links = true}});
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->points.size(), 30u);
  EXPECT_FALSE(page->next);
  for (size_t i = 0; i < 30; ++i) {
    EXPECT_EQ(page->points[i].id, "p" + std::to_string(i));
    EXPECT_EQ(page->points[i].vector.size(), kDim);
    ASSERT_FALSE(page->points[i].links.empty());
    EXPECT_FALSE(page->points[i].links[0].empty());
  }
}

TEST(Record, RoundTripsAndRefusesDamage) {
  const std::vector<float> v = {1, 2, 3};
  const std::string_view bytes(reinterpret_cast<const char*>(v.data()), 12);
  const std::string value = encode_record(
      {.kind = Record::Kind::kUpsert, .previous = Lsn{9}, .id = "id", .vector = bytes, .attributes = "{}"});
  const auto record = decode_record(value, 3);
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->previous, Lsn{9});
  EXPECT_EQ(record->id, "id");
  EXPECT_EQ(decode_vector(record->vector), v);
  EXPECT_EQ(record->attributes, "{}");
  EXPECT_FALSE(decode_record(value, 4).ok());
  for (size_t n = 0; n + 2 < value.size(); ++n)
    EXPECT_FALSE(decode_record(std::string_view(value).substr(0, n), 3).ok());
  EXPECT_LT(record_key(CollectionNumber{1}, Lsn{255}), record_key(CollectionNumber{1}, Lsn{256}));
  EXPECT_EQ(record_key_lsn(record_key(CollectionNumber{7}, Lsn{123456789012})), Lsn{123456789012});
}

TEST(Record, CollectionInfoRoundTrips) {
  CollectionInfo info;
  info.number = CollectionNumber{12};
  info.uuid[3] = 0xAB;
  info.config = *complete_config({.dim = 784, .metric = Metric::kCosine});
  info.generation = 3;
  info.checkpoint_lsn = Lsn{77};
  info.slots = 70;
  const auto read = decode_info("x", encode_info(info));
  ASSERT_TRUE(read.ok()) << read.status().to_string();
  EXPECT_EQ(read->uuid, info.uuid);
  EXPECT_EQ(read->config.ml, info.config.ml);
  EXPECT_EQ(read->config.seed, info.config.seed);
  EXPECT_EQ(read->config.metric, Metric::kCosine);
  EXPECT_EQ(read->checkpoint_lsn, info.checkpoint_lsn);
  EXPECT_EQ(read->slots, 70u);
  EXPECT_EQ(decode_info("x", "{").status().code(), Code::kCorrupt);
  EXPECT_EQ(decode_info("x", "{}").status().code(), Code::kCorrupt);
}

TEST(MappedFile, GrowsInPlaceAndShrinksToZeros) {
  test::TemporaryDirectory directory;
  const FileIdentity identity{FileKind::kRows, 24, {}, 1};
  auto file = MappedFile::create(posix_file_system(), directory.path() + "/f", identity, 1u << 30);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  const MappedFile::Space space{directory.path(), 0};
  ASSERT_TRUE(file->ensure(100, space).ok());
  std::byte* const data = file->data();
  data[99] = std::byte{7};
  ASSERT_TRUE(file->ensure(10u << 20, space).ok());
  EXPECT_EQ(file->data(), data);
  EXPECT_EQ(data[99], std::byte{7});
  data[(10u << 20) - 1] = std::byte{8};
  EXPECT_TRUE(file->sync(file->capacity()).ok());
  ASSERT_TRUE(file->shrink(50).ok());
  ASSERT_TRUE(file->ensure(10u << 20, space).ok());
  EXPECT_EQ(data[99], std::byte{0});
  EXPECT_EQ(data[(10u << 20) - 1], std::byte{0});
  EXPECT_EQ(file->ensure(2u << 30, space).code(), Code::kLimit);
  const MappedFile::Space none{directory.path(), uint64_t{1} << 60};
  EXPECT_EQ(file->ensure(20u << 20, none).code(), Code::kNoSpace);
  EXPECT_EQ(MappedFile::create(posix_file_system(), directory.path() + "/f", identity, 1u << 30).status().code(),
            Code::kExists);
  const FileIdentity other{FileKind::kRows, 24, {}, 2};
  EXPECT_EQ(MappedFile::open(posix_file_system(), directory.path() + "/f", other, 1u << 30, Access::kReadWrite)
                .status()
                .code(),
            Code::kCorrupt);
  EXPECT_TRUE(
      MappedFile::open(posix_file_system(), directory.path() + "/f", identity, 1u << 30, Access::kReadWrite).ok());
}

}  // namespace
}  // namespace vs::storage
