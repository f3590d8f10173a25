// Power fails at every sync of a small workload, and each time the disk is left in several of the states it might be in.
// From each of them the database must come back with everything that was acknowledged.
//
//   power_loss [--seed N] [--runs N] [--images N] [--nested SHARE] [--replay SEED,POINT,IMAGE]
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "tests/crash/simulated_disk.h"
#include "tests/crash/workload.h"

namespace vs::crash {
namespace {

namespace fs = std::filesystem;
using storage::Database;
using storage::Durability;

struct Options {
  uint64_t seed = 0;
  int runs = 1;
  int images = 20;  // of each sync
  int steps = 14;
  double nested = 0.1;  // share of the images whose recovery loses power, too
  int only_point = -1;
  int only_image = -1;
  std::string directory;
  bool verbose = false;
  bool trace = false;
};

uint64_t mix(uint64_t seed, uint64_t a, uint64_t b) {
  std::seed_seq sequence{seed, a, b};
  uint32_t words[2];
  sequence.generate(words, words + 2);
  return uint64_t{words[0]} << 32 | words[1];
}

// Counts what the database logs of files that it could not use. RocksDB has all that was in them, so nothing else would
// show that a sync was missing.
class RebuildCounter final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  int count() const { return count_.load(); }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::string_view text(message.payload.data(), message.payload.size());
    if (text.starts_with("rebuilding collection=")) ++count_;
  }
  void flush_() override {}

 private:
  std::atomic<int> count_{0};
};
const auto rebuilds = std::make_shared<RebuildCounter>();

class Run {
 public:
  Run(const Options& options, uint64_t seed, std::string directory)
      : options_(options), seed_(seed), directory_(std::move(directory)) {
    std::mt19937_64 random(seed);
    // Most runs with the promise that counts; the others may lose the end, but nothing else.
    constexpr Durability kDurabilities[] = {Durability::kAlways, Durability::kAlways, Durability::kAlways,
                                            Durability::kInterval, Durability::kNone};
    durability_ = kDurabilities[random() % 5];
    threads_ = 1 + static_cast<unsigned>(random() % 2);
  }

  // False when an image failed.
  bool run() {
    fs::create_directories(data());
    SimulatedDisk disk(data());
    Workload workload({.seed = seed_, .steps = options_.steps},
                      [&] { return Database::open(database_options(data(), disk, durability_, threads_)); });
    int point = 0;
    if (options_.trace) {
      disk.on_call = [&](Call call, const std::string& path) {
        std::printf("%d %s %s\n", point, std::string(call_name(call)).c_str(), path.c_str() + directory_.size());
        return 0;
      };
    }
    disk.on_sync = [&] {
      if (failed_) return;
      const int number = point++;
      if (options_.only_point >= 0 && number != options_.only_point) return;
      const Snapshot snapshot = disk.snapshot();
      const Oracle oracle = workload.oracle();
      for (int image = 0; image < options_.images && !failed_; ++image) {
        if (options_.only_image < 0 || image == options_.only_image) try_image(snapshot, oracle, number, image);
      }
    };
    const Status status = workload.run();
    if (!status.ok()) fail(point, -1, "the workload itself failed: " + status.to_string());
    points_ = point;
    return !failed_;
  }

  std::string summary() const {
    return "seed " + std::to_string(seed_) + " durability " + std::string(storage::durability_name(durability_)) +
           " threads " + std::to_string(threads_) + ": " + std::to_string(points_) + " syncs, " +
           std::to_string(images_) + " images, " + std::to_string(nested_) + " nested";
  }
  uint64_t images() const { return images_; }
  uint64_t searched() const { return searched_; }
  uint64_t missed() const { return missed_; }

 private:
  std::string data() const { return directory_ + "/data"; }

  void try_image(const Snapshot& snapshot, const Oracle& oracle, int point, int image) {
    const uint64_t seed = mix(seed_, static_cast<uint64_t>(point), static_cast<uint64_t>(image));
    const std::string place = directory_ + "/image";
    fs::remove_all(place);
    snapshot.write_image(place, seed);
    ++images_;
    std::mt19937_64 random(seed);
    std::string problem;
    if (std::uniform_real_distribution<double>(0, 1)(random) < options_.nested)
      problem = lose_power_again(place, random);
    if (problem.empty()) problem = open_and_verify(place, oracle, image % 4 == 0);
    if (!problem.empty()) fail(point, image, problem);
  }

  // Opens the image on a disk that loses power during the recovery, and puts what is left in the image's place.
  std::string lose_power_again(const std::string& place, std::mt19937_64& random) {
    const std::string second = directory_ + "/second";
    fs::remove_all(second);
    {
      SimulatedDisk disk(place);
      const uint64_t seed = random();
      int until = static_cast<int>(random() % 20);
      disk.on_sync = [&] {
        if (until-- == 0) disk.snapshot().write_image(second, seed);
      };
      const auto opened = Database::open(database_options(place, disk, durability_, threads_));
      if (!opened.ok()) return "opening it failed: " + opened.status().to_string();
    }
    if (!fs::exists(second)) return {};  // there were fewer syncs, so it was opened and closed
    ++nested_;
    fs::remove_all(place);
    fs::rename(second, place);
    return {};
  }

  std::string open_and_verify(const std::string& place, const Oracle& oracle, bool twice) {
    for (int round = 0; round < (twice ? 2 : 1); ++round) {
      // A disk that fails nothing; it only syncs faster than a real one.
      SimulatedDisk disk(place);
      const int rebuilds_before = rebuilds->count();
      const auto opened = Database::open(database_options(place, disk, durability_, threads_));
      if (!opened.ok()) return "opening it failed: " + opened.status().to_string();
      // With less, files may hold more than the log, and are built anew then.
      if (durability_ == Durability::kAlways && rebuilds->count() > rebuilds_before)
        return "mapped files could not be used";
      const Verdict verdict = verify(**opened, oracle, durability_ == Durability::kAlways);
      searched_ += verdict.searched;
      missed_ += verdict.missed;
      if (!verdict.problem.empty()) return (round == 0 ? "" : "after a clean close: ") + verdict.problem;
      if (const Status closed = (*opened)->close(); !closed.ok()) return "closing it failed: " + closed.to_string();
    }
    return {};
  }

  void fail(int point, int image, const std::string& problem) {
    failed_ = true;
    std::printf("FAILED %s\n  at sync %d, image %d: %s\n  replay: power_loss --replay %llu,%d,%d\n", summary().c_str(),
                point, image, problem.c_str(), static_cast<unsigned long long>(seed_), point, image);
    std::printf("  the image after the attempt to open it: %s/image\n", directory_.c_str());
  }

  const Options& options_;
  const uint64_t seed_;
  const std::string directory_;
  Durability durability_ = Durability::kAlways;
  unsigned threads_ = 1;
  bool failed_ = false;
  int points_ = 0;
  uint64_t images_ = 0;
  uint64_t nested_ = 0;
  uint64_t searched_ = 0;
  uint64_t missed_ = 0;
};

// Of all points, how many may miss themselves: what the graph of so few links misses without any crash is less.
constexpr double kMissedMax = 0.005;

int run_all(const Options& options) {
  const std::string directory = work_directory();
  uint64_t images = 0;
  uint64_t searched = 0;
  uint64_t missed = 0;
  for (int i = 0; i < options.runs; ++i) {
    Run run(options, options.seed + static_cast<uint64_t>(i), directory);
    if (!run.run()) return EXIT_FAILURE;
    std::printf("%s\n", run.summary().c_str());
    std::fflush(stdout);
    fs::remove_all(directory + "/data");
    images += run.images();
    searched += run.searched();
    missed += run.missed();
  }
  fs::remove_all(directory);
  std::printf("%llu images; of %llu points %llu did not find themselves\n", static_cast<unsigned long long>(images),
              static_cast<unsigned long long>(searched), static_cast<unsigned long long>(missed));
  if (static_cast<double>(missed) > kMissedMax * static_cast<double>(searched)) {
    std::printf("FAILED: too many points do not find themselves (at most %g of them may)\n", kMissedMax);
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}

int start(int argc, char** argv) {
  Options options;
  options.seed = std::random_device()();
  std::string replay;
  CLI::App app("Power failures at every sync of a small workload");
  app.add_option("--seed", options.seed, "of the first run; the next ones count up");
  app.add_option("--runs", options.runs);
  app.add_option("--images", options.images, "of each sync");
  app.add_option("--steps", options.steps, "of a run");
  app.add_option("--nested", options.nested, "share of images whose recovery loses power, too");
  app.add_option("--replay", replay, "SEED,SYNC,IMAGE of a failure");
  app.add_flag("--trace", options.trace, "prints each call to the disk, with the number of syncs before it");
  app.add_flag("--verbose", options.verbose, "shows the database's log");
  CLI11_PARSE(app, argc, argv);
  if (!replay.empty()) {
    unsigned long long seed = 0;
    if (std::sscanf(replay.c_str(), "%llu,%d,%d", &seed, &options.only_point, &options.only_image) != 3) {
      std::fprintf(stderr, "--replay takes SEED,SYNC,IMAGE\n");
      return 2;
    }
    options.seed = seed;
    options.runs = 1;
    options.images = std::max(options.images, options.only_image + 1);
  }
  auto logger = std::make_shared<spdlog::logger>("power_loss", rebuilds);
  if (options.verbose) logger->sinks().push_back(std::make_shared<spdlog::sinks::stdout_sink_mt>());
  logger->set_level(options.verbose ? spdlog::level::info : spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
  std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
  return run_all(options);
}

}  // namespace
}  // namespace vs::crash

int main(int argc, char** argv) { return vs::crash::start(argc, argv); }
