// durability=interval: what a power failure may take is a second's writes, whatever else goes on.
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "tests/unit/database_fixture.h"

namespace vs::storage {
namespace {

// The real files, whose mappings are synced only when `held` is over.
class HeldDisk final : public FileSystem {
 public:
  std::atomic<bool> held{false};
  std::atomic<bool> waits{false};

  Result<std::unique_ptr<File>> create(const std::string& path) override { return hold(real_.create(path)); }
  Result<std::unique_ptr<File>> open(const std::string& path, Access access) override {
    return hold(real_.open(path, access));
  }
  Status create_directories(const std::string& path) override { return real_.create_directories(path); }
  Status sync_directory(const std::string& path) override { return real_.sync_directory(path); }
  Status remove_all(const std::string& path) override { return real_.remove_all(path); }
  Status link(const std::string& from, const std::string& to) override { return real_.link(from, to); }
  Status rename(const std::string& from, const std::string& to) override { return real_.rename(from, to); }
  Result<std::vector<std::string>> list(const std::string& directory) override { return real_.list(directory); }
  Result<uint64_t> free_bytes(const std::string& path) override { return real_.free_bytes(path); }
  Result<uint64_t> total_bytes(const std::string& path) override { return real_.total_bytes(path); }
  Result<std::unique_ptr<DirectoryLock>> lock(const std::string& path, Access access) override {
    return real_.lock(path, access);
  }

 private:
  struct HeldRegion final : MappedRegion {
    HeldRegion(HeldDisk& disk, std::unique_ptr<MappedRegion> real) : disk_(disk), real_(std::move(real)) {}
    std::byte* data() const override { return real_->data(); }
    Status sync(uint64_t bytes) override {
      if (disk_.held) disk_.waits = true;
      while (disk_.held) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      return real_->sync(bytes);
    }
    Status lock(uint64_t offset, uint64_t bytes) override { return real_->lock(offset, bytes); }
    HeldDisk& disk_;
    std::unique_ptr<MappedRegion> real_;
  };
  struct HeldFile final : File {
    HeldFile(HeldDisk& disk, std::unique_ptr<File> real) : disk_(disk), real_(std::move(real)) {}
    Result<uint64_t> size() const override { return real_->size(); }
    Status read(uint64_t offset, std::span<std::byte> out) const override { return real_->read(offset, out); }
    Status write(uint64_t offset, std::span<const std::byte> bytes) override { return real_->write(offset, bytes); }
    Status allocate(uint64_t size) override { return real_->allocate(size); }
    Status truncate(uint64_t size) override { return real_->truncate(size); }
    Status sync() override { return real_->sync(); }
    Result<std::unique_ptr<MappedRegion>> map(uint64_t reserve) override {
      VS_ASSIGN_OR_RETURN(auto region, real_->map(reserve));
      return std::unique_ptr<MappedRegion>(std::make_unique<HeldRegion>(disk_, std::move(region)));
    }
    HeldDisk& disk_;
    std::unique_ptr<File> real_;
  };
  Result<std::unique_ptr<File>> hold(Result<std::unique_ptr<File>> file) {
    if (!file.ok()) return file;
    return std::unique_ptr<File>(std::make_unique<HeldFile>(*this, *std::move(file)));
  }

  FileSystem& real_ = posix_file_system();
};

bool eventually(const std::function<bool()>& holds) {
  for (int tries = 0; tries < 1500 && !holds(); ++tries) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return holds();
}

TEST(Interval, TheLogIsSyncedWhileACheckpointWaitsForTheDisk) {
  const test::TemporaryDirectory directory;
  HeldDisk disk;
  DatabaseOptions options;
  options.directory = directory.path() + "/data";
  options.file_system = &disk;
  options.durability = Durability::kInterval;
  options.checkpoint_operations = 1;
  const auto database = Database::open(options);
  ASSERT_TRUE(database.ok()) << database.status().to_string();
  ASSERT_TRUE((*database)->create("points", {.dim = 2}).ok());
  const auto points = *(*database)->find("points");
  disk.held = true;
  ASSERT_TRUE(add(*points, "a", {1, 2}).ok());
  EXPECT_TRUE(eventually([&] { return disk.waits.load(); }));
  for (const char* id : {"b", "c"}) {
    const uint64_t before = (*database)->stats().syncs;
    EXPECT_TRUE(add(*points, id, {3, 4}).ok());
    EXPECT_TRUE(eventually([&] { return (*database)->stats().syncs > before; })) << id;
  }
  disk.held = false;
}

}  // namespace
}  // namespace vs::storage
