// A check finds each kind of damage, and a repair mends it, on an open database and on a closed directory.
#include "storage/check.h"

#include <cstring>
#include <fstream>
#include <thread>

#include "index/geometry.h"
#include "storage/generation.h"
#include "storage/store.h"
#include "tests/unit/database_fixture.h"

namespace vs::storage {
namespace {

namespace fs = std::filesystem;

constexpr int kPoints = 200;

class CheckTest : public StorageTest {
 protected:
  void SetUp() override {
    StorageTest::SetUp();
    fill("points", Metric::kL2);
  }
  void fill(const std::string& name, Metric metric) {
    const auto c = create(name, metric);
    for (int i = 0; i < kPoints; ++i) {
      const std::string id = "p" + std::to_string(i);
      ASSERT_TRUE(add(*c, id, vector_of(id)).ok());
    }
    for (int i = 0; i < 20; ++i) ASSERT_TRUE(add(*c, "p" + std::to_string(i), vector_of("p" + std::to_string(i))).ok());
    ASSERT_TRUE(remove(*c, {"p30", "p31", "p32"}).ok());
  }
  static std::vector<float> vector_of(const std::string& id) {
    std::seed_seq seed(id.begin(), id.end());
    std::mt19937 random(seed);
    return test::random_vector(random, kDim);
  }

  CheckReport check(bool repair = false, const std::string& name = "points") {
    Progress progress;
    auto report = database_->check(name, {.deep = true, .repair = repair}, progress);
    EXPECT_TRUE(report.ok()) << report.status().to_string();
    if (!report.ok()) return {};
    EXPECT_GT(progress.total, 0u);
    return *std::move(report);
  }
  CheckReport check_closed() {
    CheckReport found;
    Progress progress;
    const auto before = test::contents_of(options().directory);
    const Status status = check_directory(options().directory, {.deep = true}, progress,
                                          [&](const std::string&, const CheckReport& report) { found = report; });
    EXPECT_TRUE(status.ok()) << status.to_string();
    EXPECT_EQ(test::contents_of(options().directory), before) << "a check changed the directory";
    return found;
  }
  static std::set<std::string> kinds(const CheckReport& report) {
    std::set<std::string> kinds;
    for (const Problem& problem : report.problems) kinds.insert(problem.kind);
    return kinds;
  }

  // Changes bytes of a mapped file of the closed database.
  template <class T>
  void overwrite(const std::string& file, uint64_t offset, T value) {
    std::fstream stream(generation_directory() + "/" + file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(MappedFile::kHeaderBytes + offset));
    stream.write(reinterpret_cast<const char*>(&value), sizeof value);
    ASSERT_TRUE(stream.good());
  }
  template <class Damage>
  void damage_closed(Damage damage) {
    database_.reset();
    damage();
  }

  // The damage is found in the closed directory and by the running database, mended, and stays mended.
  void expect_found_and_mended(const std::string& kind) {
    EXPECT_TRUE(kinds(check_closed()).contains(kind));
    reopen();
    expect_mended(kind);
  }
  void expect_mended(const std::string& kind) {
    const CheckReport found = check();
    EXPECT_TRUE(kinds(found).contains(kind)) << testing::PrintToString(kinds(found));
    EXPECT_FALSE(found.clean());
    EXPECT_EQ(found.repaired, 0u);
    const CheckReport mended = check(true);
    EXPECT_TRUE(mended.clean()) << mended.problems[0].kind << ": " << mended.problems[0].detail;
    EXPECT_GT(mended.repaired, 0u);
    EXPECT_TRUE(check().clean());
    expect_whole();
    reopen();
    EXPECT_TRUE(check().clean());
    expect_whole();
    database_.reset();
    EXPECT_TRUE(check_closed().clean());
  }
  void expect_whole() {
    const auto c = find("points");
    EXPECT_EQ(all_ids(*c).size(), static_cast<size_t>(kPoints - 3));
    for (int i = 40; i < kPoints; ++i) {
      const std::string id = "p" + std::to_string(i);
      EXPECT_EQ(ids_of(c->search({.vector = vector_of(id), .k = 1})), std::vector<std::string>{id});
    }
  }
  const Geometry geometry_{.dim = kDim, .m = 8, .ml = 1 / std::log(8.0), .seed = 3};
};

TEST_F(CheckTest, AGoodCollectionIsClean) {
  const CheckReport report = check();
  EXPECT_TRUE(report.clean()) << report.problems[0].kind << ": " << report.problems[0].detail;
  EXPECT_EQ(report.points, static_cast<uint64_t>(kPoints - 3));
  EXPECT_EQ(report.slots, static_cast<uint64_t>(kPoints + 20));
  ASSERT_TRUE(report.recall);
  EXPECT_GT(*report.recall, 0.99);
  for (const Metric metric : {Metric::kCosine, Metric::kDot}) {
    const std::string name = metric == Metric::kDot ? "dot" : "cosine";
    fill(name, metric);
    const CheckReport other = check(false, name);
    EXPECT_TRUE(other.clean()) << other.problems[0].kind << ": " << other.problems[0].detail;
  }
  EXPECT_EQ(database_->check("none", {}, *std::make_unique<Progress>()).status().code(), Code::kNotFound);
  database_.reset();
  EXPECT_TRUE(check_closed().clean());
}

TEST_F(CheckTest, ADirectoryThatWasNotClosedIsCleanAndSaysWhatIsToBeReplayed) {
  const std::string copy = directory_.path() + "/crashed";
  ASSERT_TRUE(database_->checkpoint().ok());
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(add(*find("points"), "late" + std::to_string(i), vector_of("p1")).ok());
  fs::copy(options().directory, copy, fs::copy_options::recursive);
  const auto before = test::contents_of(copy);
  Progress progress;
  int collections = 0;
  const Status status =
      check_directory(copy, {.deep = true}, progress, [&](const std::string& name, const CheckReport& report) {
        ++collections;
        EXPECT_EQ(name, "points");
        EXPECT_TRUE(report.clean()) << report.problems[0].kind << ": " << report.problems[0].detail;
        EXPECT_EQ(report.operations_to_replay, 10u);
      });
  EXPECT_TRUE(status.ok()) << status.to_string();
  EXPECT_EQ(collections, 1);
  EXPECT_EQ(test::contents_of(copy), before);
}

TEST_F(CheckTest, AnOpenDirectoryIsBusyAndAnotherIsNone) {
  Progress progress;
  const auto visit = [](const std::string&, const CheckReport&) {};
  EXPECT_EQ(check_directory(options().directory, {}, progress, visit).code(), Code::kBusy);
  EXPECT_EQ(check_directory(directory_.path(), {}, progress, visit).code(), Code::kNotFound);
}

TEST_F(CheckTest, LinkOutOfRange) {
  damage_closed([&] { overwrite("links0.dat", 50 * geometry_.links0_stride(), 0xFFFFFFF0u); });
  expect_found_and_mended("link");
}

TEST_F(CheckTest, LinkToItself) {
  damage_closed([&] { overwrite("links0.dat", 50 * geometry_.links0_stride() + 4, 51u); });
  expect_found_and_mended("link");
}

TEST_F(CheckTest, LinkToANodeOfALowerLayer) {
  Slot low{0};
  while (geometry_.level(low) > 0) ++low.value;
  damage_closed([&] { overwrite("upper.dat", 0, low.value + 1); });
  expect_found_and_mended("link");
}

TEST_F(CheckTest, AllWaysToANodeAreGone) {
  // Slot 100 is p100: every link to it goes.
  damage_closed([&] {
    const uint64_t words = (kPoints + 20) * geometry_.links0_stride() / 4;
    std::vector<uint32_t> links(words);
    std::fstream file(generation_directory() + "/links0.dat", std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(MappedFile::kHeaderBytes);
    file.read(reinterpret_cast<char*>(links.data()), static_cast<std::streamsize>(words * 4));
    std::replace(links.begin(), links.end(), 101u, 0u);
    file.seekp(MappedFile::kHeaderBytes);
    file.write(reinterpret_cast<const char*>(links.data()), static_cast<std::streamsize>(words * 4));
  });
  expect_found_and_mended("reach");
}

TEST_F(CheckTest, VectorChanged) {
  damage_closed([&] { overwrite("vectors.dat", 60 * geometry_.vector_stride() + 8, 12345.0f); });
  expect_found_and_mended("vector");
}

TEST_F(CheckTest, VectorNotFinite) {
  damage_closed([&] {
    overwrite("vectors.dat", 60 * geometry_.vector_stride(), std::numeric_limits<float>::quiet_NaN());
    overwrite("vectors.dat", 61 * geometry_.vector_stride(), std::numeric_limits<float>::infinity());
  });
  expect_found_and_mended("vector");
}

// While the database is open: a start takes a row that says other than RocksDB for a loss of RocksDB's, below.
TEST_F(CheckTest, ALivePointIsMarkedDeleted) {
  overwrite("rows.dat", 70 * sizeof(Row) + offsetof(Row, flags), Row::kDead);
  expect_mended("liveness");
}

TEST_F(CheckTest, ADeletedPointIsMarkedLive) {
  overwrite("rows.dat", 31 * sizeof(Row) + offsetof(Row, flags), uint16_t{0});
  expect_mended("liveness");
}

TEST_F(CheckTest, RowsThatSayOtherThanRocksDbAreALoss) {
  for (const auto& [slot, flags] : {std::pair<uint64_t, uint16_t>{70, Row::kDead}, {31, uint16_t{0}}}) {
    const uint64_t at = slot * sizeof(Row) + offsetof(Row, flags);
    damage_closed([&] { overwrite("rows.dat", at, flags); });
    const auto before = test::contents_of(options().directory);
    const auto refused = Database::open(options());
    EXPECT_EQ(refused.status().code(), Code::kCorrupt);
    EXPECT_NE(refused.status().message().find("acknowledged data was lost"), std::string::npos);
    EXPECT_EQ(test::contents_of(options().directory), before) << "a refused directory was changed";
    overwrite("rows.dat", at, static_cast<uint16_t>(Row::kDead - flags));
    reopen();
    expect_whole();
  }
}

// Single bits of anything in a row, and of an id: the row is told from a good one, and the generation is rebuilt.
TEST_F(CheckTest, FlippedBitsOfRowsAndIds) {
  for (const auto& [file, at] : {std::pair<std::string, uint64_t>{"rows.dat", 0},
                                 {"rows.dat", offsetof(Row, id_bytes)},
                                 {"rows.dat", offsetof(Row, flags)},
                                 {"rows.dat", offsetof(Row, flags) + 1},
                                 {"rows.dat", offsetof(Row, check)},
                                 {"ids.dat", 0}}) {
    SCOPED_TRACE(file + " " + std::to_string(at));
    database_.reset();
    const uint64_t place = 50 * (file == "rows.dat" ? sizeof(Row) : 2) + at;
    std::ifstream stream(generation_directory() + "/" + file, std::ios::binary);
    stream.seekg(static_cast<std::streamoff>(MappedFile::kHeaderBytes + place));
    overwrite(file, place, static_cast<uint8_t>(stream.get() ^ 0x10));
    EXPECT_EQ(kinds(check_closed()), std::set<std::string>{"file"});
    reopen();
    EXPECT_TRUE(check().clean());
    expect_whole();
  }
}

// The log of a first run holds everything, also that the run has not ended.
TEST_F(CheckTest, ALogWithoutItsBeginning) {
  const std::string copy = directory_.path() + "/without";
  fs::copy(options().directory, copy, fs::copy_options::recursive);
  DatabaseOptions copied = options();
  copied.directory = copy;
  for (const auto& entry : fs::directory_iterator(copy + "/rocksdb")) {
    if (entry.path().extension() == ".log") fs::resize_file(entry.path(), 0);
  }
  const auto before = test::contents_of(copy);
  const auto refused = Database::open(copied);
  EXPECT_EQ(refused.status().code(), Code::kCorrupt);
  EXPECT_NE(refused.status().message().find("acknowledged data was lost"), std::string::npos);
  EXPECT_EQ(test::contents_of(copy), before) << "a refused directory was changed";
}

// Of a CREATE and a DROP that were interrupted, directories remain that RocksDB does not know.
TEST_F(CheckTest, DirectoriesOfInterruptedRequestsAreRemoved) {
  ASSERT_TRUE(database_->drop("points").ok());
  const std::string collections = options().directory + "/collections/";
  create("again");
  database_.reset();
  fs::copy(collections + "2", collections + "1", fs::copy_options::recursive);
  fs::copy(collections + "2", collections + "3", fs::copy_options::recursive);
  reopen();
  EXPECT_FALSE(fs::exists(collections + "1"));
  EXPECT_TRUE(fs::exists(collections + "2"));
  EXPECT_FALSE(fs::exists(collections + "3"));
}

TEST_F(CheckTest, AFileCutUnderTheRunningDatabase) {
  fs::resize_file(generation_directory() + "/ids.dat", MappedFile::kHeaderBytes + (64u << 10) - 1);
  const CheckReport found = check();
  EXPECT_TRUE(kinds(found).contains("file"));
  const CheckReport mended = check(true);
  EXPECT_TRUE(mended.clean());
  EXPECT_TRUE(mended.rebuilt);
  expect_whole();
  EXPECT_EQ(find("points")->stats().generation, 2u);
  ASSERT_TRUE(add(*find("points"), "new", vector_of("new")).ok());
  reopen();
  EXPECT_EQ(all_ids(*find("points")).size(), static_cast<size_t>(kPoints - 2));
  EXPECT_TRUE(check().clean());
}

TEST_F(CheckTest, RecordsAreMissingOrLeftOver) {
  database_.reset();
  const std::string rocksdb = options().directory + "/rocksdb";
  {
    auto store = Store::open(rocksdb, nullptr, Access::kReadWrite);
    ASSERT_TRUE(store.ok());
    Store::Batch batch(**store);
    batch.delete_record(CollectionNumber{1}, Lsn{90});
    const auto v = vector_of("p4");
    batch.put_record(CollectionNumber{1}, Lsn{5},
                     encode_record({.kind = Record::Kind::kUpsert,
                                    .previous = {},
                                    .id = "p4",
                                    .vector = {reinterpret_cast<const char*>(v.data()), v.size() * sizeof(float)},
                                    .attributes = {}}));
    ASSERT_TRUE((*store)->write(batch, true).ok());
  }
  EXPECT_EQ(kinds(check_closed()), (std::set<std::string>{"log", "record"}));
  reopen();
  EXPECT_EQ(kinds(check()), (std::set<std::string>{"log", "record"}));
  // What RocksDB lost nobody can mend; what it has too much goes.
  const CheckReport mended = check(true);
  EXPECT_EQ(kinds(mended), std::set<std::string>{"log"});
  EXPECT_EQ(mended.problems_left, 1u);
}

TEST_F(CheckTest, IsCleanBesideWriters) {
  std::atomic<bool> done{false};
  std::vector<std::thread> writers;
  for (int t = 0; t < 2; ++t) {
    writers.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      const auto c = find("points");
      while (!done) {
        const std::string id = "w" + std::to_string(t) + "-" + std::to_string(random() % 200);
        if (random() % 4 == 0) {
          EXPECT_TRUE(remove(*c, {id}).ok());
        } else {
          EXPECT_TRUE(add(*c, id, test::random_vector(random, kDim)).ok());
        }
      }
    });
  }
  std::thread checkpointer([&] {
    while (!done) EXPECT_TRUE(database_->checkpoint().ok());
  });
  for (int i = 0; i < 15; ++i) {
    const CheckReport report = check(i % 3 == 2);
    EXPECT_TRUE(report.clean()) << report.problems[0].kind << ": " << report.problems[0].detail;
    EXPECT_EQ(report.repaired, 0u);
  }
  done = true;
  for (std::thread& writer : writers) writer.join();
  checkpointer.join();
}

TEST_F(CheckTest, CanBeCancelled) {
  Progress progress;
  progress.cancelled = true;
  EXPECT_EQ(database_->check("points", {.deep = true}, progress).status().code(), Code::kShuttingDown);
}

}  // namespace
}  // namespace vs::storage
