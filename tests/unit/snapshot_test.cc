// Manifests, snapshots of an open database, and what is made of them.
#include "storage/snapshot.h"

#include <sys/stat.h>
#include <unistd.h>

#include <functional>

#include "storage/checksum.h"
#include "storage/restore.h"
#include "tests/unit/database_fixture.h"

namespace vs::storage {
namespace {

namespace fs = std::filesystem;

Manifest example() {
  return {.vsd_version = "0.1.0",
          .format_version = "1",
          .tag = "monday",
          .time = "2026-11-23T01:46:18Z",
          .collections = {{.name = "c", .dim = 8, .metric = Metric::kCosine, .points = 3, .lsn = Lsn{5}}},
          .files = {{.path = "rocksdb/CURRENT", .bytes = 16, .checksum = checksum_of("MANIFEST-000005\n")},
                    {.path = "rocksdb/000012.sst", .bytes = 0, .checksum = checksum_of("")}}};
}

// The text with the checksum that belongs to it, as of a manifest that was made so.
std::string sealed(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  const size_t end = text.rfind(",\n \"checksum\"");
  text.resize(end);
  return text + ",\n \"checksum\": \"" + checksum_of(text) + "\"\n}\n";
}

// The message of the refusal that must come.
std::string refusal(const std::string& text) {
  const auto manifest = decode_manifest(text);
  EXPECT_FALSE(manifest.ok());
  EXPECT_EQ(manifest.status().code(), Code::kCorrupt);
  return manifest.status().message();
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

TEST(Manifest, ReadsWhatItWrote) {
  const auto manifest = decode_manifest(encode_manifest(example()));
  ASSERT_TRUE(manifest.ok()) << manifest.status().to_string();
  EXPECT_EQ(manifest->tag, "monday");
  EXPECT_EQ(manifest->collections[0].metric, Metric::kCosine);
  EXPECT_EQ(manifest->collections[0].lsn, Lsn{5});
  EXPECT_EQ(manifest->files[1].path, "rocksdb/000012.sst");
  EXPECT_EQ(manifest->bytes(), 16u);
  EXPECT_EQ(manifest->points(), 3u);
  EXPECT_EQ(encode_manifest(*manifest), encode_manifest(example()));
}

TEST(Manifest, EveryFlippedBitAndEveryCutIsFound) {
  const std::string text = encode_manifest(example());
  for (size_t i = 0; i < text.size(); ++i) {
    for (const int bit : {0, 3, 7}) {
      std::string flipped = text;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      EXPECT_FALSE(decode_manifest(flipped).ok()) << "byte " << i << " bit " << bit;
    }
    EXPECT_FALSE(decode_manifest(text.substr(0, i)).ok()) << "cut at " << i;
  }
  EXPECT_FALSE(decode_manifest(text + " ").ok());
}

TEST(Manifest, LaterVersionsAreRefusedWithTheReason) {
  const std::string text = encode_manifest(example());
  EXPECT_TRUE(contains(refusal(sealed(text, "\"manifest_version\": 1", "\"manifest_version\": 2")),
                       "use the vsd that made it"));
  EXPECT_TRUE(contains(refusal(sealed(text, "\"manifest_version\": 1", "\"manifest_version\": 0")), "version 0"));
}

TEST(Manifest, WhatItNamesStaysInItsPlace) {
  const std::string text = encode_manifest(example());
  for (const char* path :
       {"rocksdb/../x", "/etc/passwd", "rocksdb/", "rocksdb/.x", "rocksdb/a/b", "collections/1", "rocksdb/CURRENT"}) {
    EXPECT_FALSE(decode_manifest(sealed(text, "rocksdb/000012.sst", path)).ok()) << path;
  }
  EXPECT_TRUE(contains(refusal(sealed(text, "rocksdb/CURRENT", "rocksdb/000011.sst")), "CURRENT"));
  EXPECT_TRUE(contains(refusal(sealed(text, "\"bytes\": 16", "\"bytes\": -1")), "\"bytes\""));
  EXPECT_TRUE(contains(refusal(sealed(text, "\"tag\": \"monday\"", "\"tag\": \"../monday\"")), "\"tag\""));
  EXPECT_TRUE(contains(refusal(sealed(text, "\"points\": 3", "\"point\": 3")), "no \"points\""));
}

TEST(Manifest, Tags) {
  for (const char* tag : {"a", "2026-11-23_01.46", "A.b-c_d"}) EXPECT_TRUE(validate_tag(tag).ok()) << tag;
  for (const std::string tag : {"", ".a", "..", "a/b", "a b", "ä"}) EXPECT_FALSE(validate_tag(tag).ok()) << tag;
  EXPECT_TRUE(validate_tag(std::string(64, 'x')).ok());
  EXPECT_EQ(validate_tag(std::string(65, 'x')).code(), Code::kBadArgument);
}

class SnapshotTest : public StorageTest {
 protected:
  void SetUp() override {
    StorageTest::SetUp();
    const auto collection = create("c");
    for (int i = 0; i < 300; ++i) {
      const auto vector = vectors_["p" + std::to_string(i)] = test::random_vector(random_, kDim);
      ASSERT_TRUE(storage::add(*collection, "p" + std::to_string(i), vector, R"({"n":1})").ok());
    }
    ASSERT_TRUE(remove(*collection, {"p7", "p8"}).ok());
    for (const char* id : {"p7", "p8"}) vectors_.erase(id);
    create("empty", Metric::kDot);
  }

  Snapshot snapshot(const std::string& tag) {
    Progress progress;
    auto made = database_->make_snapshot(tag, progress);
    EXPECT_TRUE(made.ok()) << made.status().to_string();
    EXPECT_EQ(progress.done, progress.total);
    return made.ok() ? *std::move(made) : Snapshot{};
  }
  Status restore(const std::string& from, const std::string& to) {
    Progress progress;
    return restore_snapshot(posix_file_system(), from, to, progress).status();
  }
  Result<std::unique_ptr<Database>> open(const std::string& directory) {
    DatabaseOptions options = this->options();
    options.directory = directory;
    return Database::open(options);
  }
  // Has the points that the fixture wrote.
  void expect_points(const std::string& directory) {
    const auto database = open(directory);
    ASSERT_TRUE(database.ok()) << database.status().to_string();
    ASSERT_EQ((*database)->names(), (std::vector<std::string>{"c", "empty"}));
    const auto collection = *(*database)->find("c");
    EXPECT_EQ(all_ids(*collection).size(), vectors_.size());
    for (const auto& [id, vector] : vectors_) {
      const auto point = collection->get(id, {.attributes = true, .vector = true});
      ASSERT_TRUE(point.ok()) << id;
      EXPECT_EQ(point->vector, vector);
      EXPECT_EQ(point->attributes, R"({"n":1})");
      EXPECT_EQ(ids_of(collection->search({.vector = vector, .k = 1, .ef = 200})), std::vector<std::string>{id});
    }
  }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }

  std::map<std::string, std::vector<float>> vectors_;
};

TEST_F(SnapshotTest, HoldsOneMomentAndSharesItsFiles) {
  const Snapshot made = snapshot("monday");
  EXPECT_EQ(made.path, path("data/snapshots/monday"));
  ASSERT_EQ(made.manifest.collections.size(), 2u);
  EXPECT_EQ(made.manifest.collections[0].points, 298u);
  EXPECT_EQ(made.manifest.collections[0].lsn, Lsn{302});
  EXPECT_EQ(made.manifest.collections[1].metric, Metric::kDot);
  EXPECT_EQ(made.manifest.collections[1].points, 0u);
  size_t shared = 0;
  for (const Manifest::FileEntry& file : made.manifest.files) {
    struct stat here {};
    struct stat there {};
    ASSERT_EQ(::stat((made.path + "/" + file.path).c_str(), &here), 0);
    EXPECT_EQ(static_cast<uint64_t>(here.st_size), file.bytes);
    const bool table = file.path.ends_with(".sst") || file.path.ends_with(".blob");
    // The database may have compacted the file away meanwhile.
    if (!table || ::stat((path("data/") + file.path).c_str(), &there) != 0) continue;
    EXPECT_EQ(here.st_ino, there.st_ino) << file.path;
    ++shared;
  }
  EXPECT_GT(shared, 0u);
  for (const char* name : {"spare", "ballast"}) EXPECT_FALSE(fs::exists(made.path + "/rocksdb/" + name)) << name;

  // What comes later is not in it.
  ASSERT_TRUE(storage::add(*find("c"), "later", test::random_vector(random_, kDim)).ok());
  ASSERT_TRUE(database_->drop("empty").ok());
  ASSERT_TRUE(restore(made.path, path("restored")).ok());
  expect_points(path("restored"));
}

TEST_F(SnapshotTest, APlainCopyIsADataDirectory) {
  const Snapshot made = snapshot("monday");
  fs::copy(made.path, path("copy"), fs::copy_options::recursive);
  expect_points(path("copy"));
  EXPECT_FALSE(fs::exists(path("copy/manifest.json")));
  expect_points(path("copy"));
}

TEST_F(SnapshotTest, ACopyThatIsNotWholeIsRefused) {
  const Snapshot made = snapshot("monday");
  for (const Manifest::FileEntry& file : made.manifest.files) {
    fs::remove_all(path("copy"));
    fs::copy(made.path, path("copy"), fs::copy_options::recursive);
    fs::remove(path("copy/") + file.path);
    const auto database = open(path("copy"));
    ASSERT_FALSE(database.ok()) << file.path;
    EXPECT_EQ(database.status().code(), Code::kCorrupt);
    EXPECT_TRUE(contains(database.status().message(), file.path + " is missing")) << database.status().message();
  }
}

TEST_F(SnapshotTest, VsdDoesNotStartOnASnapshotItself) {
  const Snapshot made = snapshot("monday");
  const auto before = test::contents_of(made.path);
  const auto database = open(made.path + "/");
  ASSERT_FALSE(database.ok());
  EXPECT_EQ(database.status().code(), Code::kBadArgument);
  EXPECT_TRUE(contains(database.status().message(), "is a snapshot"));
  EXPECT_EQ(test::contents_of(made.path), before);
}

TEST_F(SnapshotTest, EveryDamageIsRefusedAndNothingWritten) {
  const Snapshot made = snapshot("monday");
  const auto expect_refusal = [&](const std::string& what, const std::string& reason,
                                  const std::function<void(const std::string&)>& damage) {
    const std::string copy = path("copy");
    fs::remove_all(copy);
    fs::copy(made.path, copy, fs::copy_options::recursive);
    damage(copy);
    const Status status = restore(copy, path("restored"));
    EXPECT_EQ(status.code(), Code::kCorrupt) << what << ": " << status.to_string();
    EXPECT_TRUE(contains(status.message(), what)) << status.message();
    EXPECT_TRUE(contains(status.message(), reason)) << status.message();
    EXPECT_FALSE(fs::exists(path("restored"))) << what;
  };
  for (const Manifest::FileEntry& file : made.manifest.files) {
    expect_refusal(file.path, "is missing", [&](const std::string& copy) { fs::remove(copy + "/" + file.path); });
    if (file.bytes == 0) continue;
    expect_refusal(file.path, "expected were",
                   [&](const std::string& copy) { fs::resize_file(copy + "/" + file.path, file.bytes - 1); });
    expect_refusal(file.path, "expected was " + file.checksum, [&](const std::string& copy) {
      std::fstream stream(copy + "/" + file.path, std::ios::in | std::ios::out | std::ios::binary);
      const auto at = static_cast<std::streamoff>(file.bytes / 2);
      stream.seekg(at);
      const char flipped = static_cast<char>(stream.get() ^ 4);
      stream.seekp(at);
      stream.put(flipped);
    });
  }
  expect_refusal("rocksdb/000999.log", "not in the manifest",
                 [](const std::string& copy) { std::ofstream(copy + "/rocksdb/000999.log") << "x"; });
  expect_refusal("collections", "not in the manifest",
                 [](const std::string& copy) { fs::create_directory(copy + "/collections"); });
  expect_refusal("manifest.json", "no manifest", [](const std::string& copy) { fs::remove(copy + "/manifest.json"); });
  expect_refusal("manifest.json", "is damaged",
                 [](const std::string& copy) { fs::resize_file(copy + "/manifest.json", 99); });
  expect_refusal("rocksdb", "is missing", [](const std::string& copy) { fs::remove_all(copy + "/rocksdb"); });
}

TEST_F(SnapshotTest, RestoresIntoAnEmptyDirectoryOnly) {
  const Snapshot made = snapshot("monday");
  fs::create_directory(path("full"));
  std::ofstream(path("full/notes")) << "mine";
  const Status status = restore(made.path, path("full"));
  EXPECT_EQ(status.code(), Code::kBadArgument);
  EXPECT_TRUE(contains(status.message(), "notes"));
  EXPECT_EQ(test::contents_of(path("full")).size(), 1u);
  ASSERT_TRUE(restore(made.path, path("new/deep/place")).ok());
  EXPECT_EQ(restore(made.path, path("new/deep/place")).code(), Code::kBadArgument);
  expect_points(path("new/deep/place"));
}

TEST_F(SnapshotTest, ARestoreThatDidNotEndIsRefusedAndCanBeRepeated) {
  const Snapshot made = snapshot("monday");
  fs::create_directories(path("restored/restoring"));
  std::ofstream(path("restored/LOCK"));
  fs::copy(made.path + "/rocksdb/CURRENT", path("restored/restoring/CURRENT"));
  const auto database = open(path("restored"));
  ASSERT_FALSE(database.ok());
  EXPECT_EQ(database.status().code(), Code::kCorrupt);
  EXPECT_TRUE(contains(database.status().message(), "a restore into"));
  ASSERT_TRUE(restore(made.path, path("restored")).ok());
  expect_points(path("restored"));
}

TEST_F(SnapshotTest, ATagIsGivenOnce) {
  const Snapshot made = snapshot("monday");
  const auto before = test::contents_of(made.path);
  Progress progress;
  EXPECT_EQ(database_->make_snapshot("monday", progress).status().code(), Code::kExists);
  EXPECT_EQ(test::contents_of(made.path), before);
  ASSERT_TRUE(database_->remove_snapshot("monday").ok());
  EXPECT_EQ(database_->remove_snapshot("monday").code(), Code::kNotFound);
  EXPECT_TRUE(fs::is_empty(path("data/snapshots")));
  snapshot("monday");
}

TEST_F(SnapshotTest, ListsThemByTagWithWhatIsDamaged) {
  EXPECT_TRUE(database_->snapshots()->empty());
  snapshot("b");
  snapshot("a");
  fs::remove(path("data/snapshots/b/manifest.json"));
  const auto entries = database_->snapshots();
  ASSERT_TRUE(entries.ok() && entries->size() == 2);
  EXPECT_EQ((*entries)[0].tag, "a");
  EXPECT_EQ((*entries)[0].manifest->points(), 298u);
  EXPECT_EQ((*entries)[1].tag, "b");
  EXPECT_FALSE((*entries)[1].manifest.ok());
}

TEST_F(SnapshotTest, OneThatIsCancelledOrDoesNotFitLeavesNothing) {
  Progress cancelled;
  cancelled.cancelled = true;
  EXPECT_EQ(database_->make_snapshot("monday", cancelled).status().code(), Code::kShuttingDown);
  EXPECT_TRUE(fs::is_empty(path("data/snapshots")));
  database_.reset();
  DatabaseOptions options = this->options();
  options.free_space_reserve_bytes = uint64_t{1} << 60;
  const auto database = Database::open(options);
  ASSERT_TRUE(database.ok()) << database.status().to_string();
  Progress progress;
  const Status full = (*database)->make_snapshot("monday", progress).status();
  EXPECT_EQ(full.code(), Code::kNoSpace);
  EXPECT_TRUE(contains(full.message(), "make room"));
  EXPECT_TRUE(fs::is_empty(path("data/snapshots")));
}

TEST_F(SnapshotTest, AStartRemovesWhatACrashLeft) {
  snapshot("monday");
  fs::create_directories(path("data/snapshots/.tuesday/rocksdb"));
  fs::create_directories(path("data/snapshots/..wednesday/rocksdb"));
  reopen();
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path("data/snapshots"))) names.push_back(entry.path().filename());
  EXPECT_EQ(names, std::vector<std::string>{"monday"});
}

TEST_F(SnapshotTest, LiesOnAnotherFileSystemAsACopy) {
  struct stat here {};
  struct stat there {};
  if (::stat("/dev/shm", &there) != 0 || ::stat(directory_.path().c_str(), &here) != 0 || here.st_dev == there.st_dev) {
    GTEST_SKIP() << "/dev/shm is no other file system";
  }
  std::string pattern = "/dev/shm/vsd-test-XXXXXX";
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  fs::create_directory_symlink(pattern, path("data/snapshots"));
  const Snapshot made = snapshot("monday");
  EXPECT_TRUE(fs::exists(pattern + "/monday/manifest.json"));
  EXPECT_TRUE(restore(made.path, path("restored")).ok());
  expect_points(path("restored"));
  fs::remove_all(pattern);
}

}  // namespace
}  // namespace vs::storage
