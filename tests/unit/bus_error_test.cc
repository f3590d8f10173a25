// A mapped file that another program cuts: the table of regions, and what the handler of SIGBUS says.
#include "daemon/bus_error.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <thread>

#include "storage/file_system.h"
#include "storage/mapped_file.h"
#include "storage/mapped_regions.h"
#include "tests/unit/test_util.h"

namespace vs {
namespace {

namespace fs = std::filesystem;
using storage::MappedPlace;
using storage::MappedRegionEntry;

const std::byte* address(uintptr_t number) { return reinterpret_cast<const std::byte*>(number); }

TEST(MappedRegions, FindsPathAndOffset) {
  MappedPlace place;
  EXPECT_FALSE(storage::find_mapped_place(address(0x5000), place));
  {
    const MappedRegionEntry first(address(0x4000), 0x2000, "data/a");
    const MappedRegionEntry second(address(0x6000), 0x1000, "data/a longer path");
    ASSERT_TRUE(storage::find_mapped_place(address(0x5fff), place));
    EXPECT_STREQ(place.path, "data/a");
    EXPECT_EQ(place.offset, 0x1fffu);
    ASSERT_TRUE(storage::find_mapped_place(address(0x6000), place));
    EXPECT_STREQ(place.path, "data/a longer path");
    EXPECT_EQ(place.offset, 0u);
    EXPECT_FALSE(storage::find_mapped_place(address(0x3fff), place));
    EXPECT_FALSE(storage::find_mapped_place(address(0x7000), place));
    EXPECT_FALSE(storage::find_mapped_place(nullptr, place));
  }
  EXPECT_FALSE(storage::find_mapped_place(address(0x5000), place));
}

TEST(MappedRegions, KeepsTheEndOfALongPathAndDoesWithoutWhatDoesNotFit) {
  const std::string path = std::string(3000, 'd') + "/collections/1/1/rows.dat";
  std::vector<std::unique_ptr<MappedRegionEntry>> entries;
  for (size_t i = 1; i <= storage::kMappedRegionsMax + 1; ++i) {
    entries.push_back(std::make_unique<MappedRegionEntry>(address(i << 12), 1 << 12, path));
  }
  MappedPlace place;
  ASSERT_TRUE(storage::find_mapped_place(address(storage::kMappedRegionsMax << 12), place));
  EXPECT_EQ(place.path, path.substr(path.size() - storage::kMappedPathBytes));
  const auto too_many = address((storage::kMappedRegionsMax + 1) << 12);
  EXPECT_FALSE(storage::find_mapped_place(too_many, place));
  entries.erase(entries.begin());
  entries.push_back(std::make_unique<MappedRegionEntry>(too_many, 1, "in the place of the first"));
  ASSERT_TRUE(storage::find_mapped_place(too_many, place));
  EXPECT_STREQ(place.path, "in the place of the first");
}

// Other regions come and go, at the same place with other paths, while one is looked for.
TEST(MappedRegions, ConcurrentChangesOfOtherRegionsDoNotConfuse) {
  std::vector<std::jthread> writers;
  for (uintptr_t writer = 0; writer < 2; ++writer) {
    writers.emplace_back([writer](const std::stop_token& stop) {
      for (size_t i = 0; !stop.stop_requested(); ++i) {
        const std::string path(i % 2 == 0 ? 800 : 1000, static_cast<char>('a' + i % 7));
        const MappedRegionEntry below(address(0x10000 - 0x1000 * (writer + 1)), 0x1000, path);
        const MappedRegionEntry above(address(0x100000), 0x100000 << writer, path);
        if (i % 4 == 0) std::this_thread::yield();
      }
    });
  }
  // Made while the others take and leave the entries before it.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  while (std::chrono::steady_clock::now() < end) {
    const MappedRegionEntry mine(address(0x10000), 0x1000, "mine");
    for (int i = 0; i < 100; ++i) {
      MappedPlace place;
      ASSERT_TRUE(storage::find_mapped_place(address(0x10008), place));
      ASSERT_STREQ(place.path, "mine");
      ASSERT_EQ(place.offset, 8u);
      if (!storage::find_mapped_place(address(0x100000), place)) continue;
      const std::string_view path(place.path);
      ASSERT_EQ(path, std::string(path.size(), path[0]));
      ASSERT_TRUE(path.size() == 800 || path.size() == 1000) << path.size();
    }
  }
}

class BusErrorTest : public testing::Test {
 protected:
  BusErrorTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }

  std::unique_ptr<storage::File> make(uint64_t bytes) {
    auto created = storage::posix_file_system().create(path_);
    EXPECT_TRUE(created.ok()) << created.status().to_string();
    EXPECT_TRUE((*created)->allocate(bytes).ok());
    return *std::move(created);
  }

  test::TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/vectors.dat";
};
using BusErrorDeathTest = BusErrorTest;

TEST_F(BusErrorDeathTest, NamesFileAndOffsetAndExits) {
  EXPECT_EXIT(
      {
        const auto file = make(64 << 10);
        const auto region = file->map(1 << 20);
        if (!region.ok()) ::_exit(3);
        daemon::install_bus_error_handler(false);
        std::memset((*region)->data(), 1, 64 << 10);
        fs::resize_file(path_, 4096);
        std::memset((*region)->data() + 20000, 2, 1);
        ::_exit(4);
      },
      testing::ExitedWithCode(1),
      "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}[+]00:00 level=critical fatal code=corrupt "
      "file=.*/vectors.dat offset=20000 file_bytes=4096 message='.*another program cut it.*' action='.*'\n$");
}

TEST_F(BusErrorDeathTest, SeveralThreadsAtOnceGiveOneLine) {
  EXPECT_EXIT(
      {
        const auto file = make(64 << 10);
        const auto region = file->map(1 << 20);
        if (!region.ok()) ::_exit(3);
        daemon::install_bus_error_handler(true);
        fs::resize_file(path_, 0);
        std::vector<std::thread> threads;
        for (size_t i = 0; i < 8; ++i) threads.emplace_back([&, i] { std::memset((*region)->data() + i, 1, 1); });
        for (std::thread& thread : threads) thread.join();
        ::_exit(4);
      },
      testing::ExitedWithCode(1), "^<2>fatal code=corrupt file=[^\n]*\n$");
}

TEST_F(BusErrorDeathTest, NobodyReadsTheLog) {
  EXPECT_EXIT(
      {
        int ends[2];
        if (::pipe(ends) != 0) ::_exit(3);
        const auto file = make(4096);
        const auto region = file->map(1 << 20);
        if (!region.ok()) ::_exit(3);
        daemon::install_bus_error_handler(false);
        const std::string page(4096, 'x');
        for (int i = 0; i < 16; ++i) {
          if (::write(ends[1], page.data(), page.size()) < 0) ::_exit(3);
        }
        ::dup2(ends[1], STDERR_FILENO);
        std::memset((*region)->data() + 4096, 1, 1);
        ::_exit(4);
      },
      testing::ExitedWithCode(1), "");
}

TEST_F(BusErrorDeathTest, OfNoMappedFileEndsAsWithoutHandler) {
  EXPECT_EXIT(
      {
        const auto file = make(4096);
        daemon::install_bus_error_handler(false);
        const int descriptor = ::open(path_.c_str(), O_RDWR);
        void* const memory = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
        if (memory == MAP_FAILED) ::_exit(3);
        std::memset(static_cast<std::byte*>(memory) + 4096, 1, 1);
        ::_exit(4);
      },
      testing::KilledBySignal(SIGBUS), "fatal code=internal address=0x[0-9a-f]+ message='bus error outside of every");
  EXPECT_EXIT(
      {
        daemon::install_bus_error_handler(false);
        ::kill(::getpid(), SIGBUS);
        ::_exit(4);
      },
      testing::KilledBySignal(SIGBUS), "fatal code=internal message='process [0-9]+ sent SIGBUS'");
}

// Without a touch of what is missing: growing would hide it behind zeros, a checkpoint would count it as synced.
TEST_F(BusErrorTest, ACutFileNeitherGrowsNorSyncs) {
  constexpr uint64_t kHeader = storage::MappedFile::kHeaderBytes;
  const storage::FileIdentity identity{storage::FileKind::kVectors, 4, {}, 1};
  const storage::MappedFile::Space space{directory_.path(), 0};
  auto file = storage::MappedFile::create(storage::posix_file_system(), path_, identity, 1 << 30);
  ASSERT_TRUE(file.ok()) << file.status().to_string();
  ASSERT_TRUE(file->ensure(100'000, space).ok());
  const uint64_t capacity = file->capacity();
  ASSERT_TRUE(file->sync(capacity).ok());

  fs::resize_file(path_, kHeader + capacity - 1);
  EXPECT_TRUE(file->ensure(capacity, space).ok()) << "nothing to grow, and cut inside of the last page";
  const Status grown = file->ensure(capacity + 1, space);
  EXPECT_EQ(grown.code(), Code::kCorrupt);
  EXPECT_NE(grown.message().find(path_), std::string::npos) << grown.message();
  EXPECT_EQ(fs::file_size(path_), kHeader + capacity - 1);
  EXPECT_EQ(file->capacity(), capacity);
  EXPECT_EQ(file->sync(capacity).code(), Code::kCorrupt);
}

}  // namespace
}  // namespace vs
