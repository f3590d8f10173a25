// Every call to the disk fails once: the first open, the second, …, the first fsync, and so on, with EIO and with ENOSPC,
// until a run sees no fault. After a failure that the database calls fatal nothing may be acknowledged; and whatever
// happened, the next start has everything that was.
//
//   disk_failures [--seed N] [--calls N] [--replay CALL,ERRNO,NTH]
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <sstream>

#include "tests/crash/simulated_disk.h"
#include "tests/crash/workload.h"

namespace vs::crash {
namespace {

namespace fs = std::filesystem;
using storage::Database;
using storage::Durability;

struct Options {
  uint64_t seed = 1;
  int calls = 40;  // of each kind that fail; more are drawn from
  int steps = 12;
  std::string replay;
  bool verbose = false;
};

struct Fault {
  Call call = Call::kCount;
  int number = 0;  // errno
  int nth = 0;     // 1: the first call of this kind
};

std::string name_of(const Fault& fault) {
  return std::string(call_name(fault.call)) + "," + (fault.number == EIO ? "EIO" : "ENOSPC") + "," +
         std::to_string(fault.nth);
}

struct Outcome {
  std::string problem;  // empty: all is well
  bool hit = false;     // the fault happened
  bool fatal = false;   // and made the database give up
  std::vector<int> calls = std::vector<int>(static_cast<size_t>(Call::kCount));
};

// Runs `work` in a process of its own and waits for it. As the daemon does, a process may just end in a fatal error.
template <class Work>
bool in_child(Work work) {
  const pid_t child = ::fork();
  VS_CHECK(child >= 0);
  if (child == 0) {
    work();
    std::fflush(stdout);
    ::_exit(0);
  }
  int status = 0;
  VS_CHECK(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void write_text(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// In a child: runs the workload until it ends, and leaves in `place` what came of it.
void run_workload(const Fault& fault, const Options& options, const std::string& place) {
  const std::string data = place + "/data";
  SimulatedDisk disk(data);
  std::atomic<bool> hit{false};
  std::vector<std::atomic<int>> calls(static_cast<size_t>(Call::kCount));
  disk.on_call = [&](Call call, const std::string&) {
    const int nth = ++calls[static_cast<size_t>(call)];
    if (call != fault.call || nth != fault.nth) return 0;
    hit = true;
    return fault.number;
  };
  std::unique_ptr<Workload> workload;
  const auto leave = [&](const Status& status, bool fatal) {
    std::string problem;
    // Whatever fails has to say what it was.
    if (fatal && status.message().find("(injected)") == std::string::npos) {
      problem = "the fatal error does not say what failed: " + status.to_string();
    } else if (!status.ok() && !hit) {
      problem = "the workload failed without a fault: " + status.to_string();
    }
    std::string counts;
    for (const auto& count : calls) counts += std::to_string(count) + " ";
    write_text(place + "/oracle", to_text(workload->oracle()));
    write_text(place + "/result", std::to_string(hit) + " " + std::to_string(fatal) + " " + counts + problem);
  };
  workload = std::make_unique<Workload>(Workload::Options{.seed = options.seed, .steps = options.steps}, [&] {
    storage::DatabaseOptions database = database_options(data, disk, Durability::kAlways, 1);
    database.on_fatal = [&](const Status& status) {
      leave(status, true);
      ::_exit(0);
    };
    return Database::open(database);
  });
  const Status status = workload->run();
  leave(status, false);
}

// In a child: the next start, without a fault.
void verify_restart(const std::string& place) {
  const std::string data = place + "/data";
  SimulatedDisk disk(data);
  const auto opened = Database::open(database_options(data, disk, Durability::kAlways, 2));
  if (!opened.ok()) return write_text(place + "/verdict", "the next start failed: " + opened.status().to_string());
  const Verdict verdict = verify(**opened, oracle_from(read_text(place + "/oracle")), true);
  if (!verdict.problem.empty()) return write_text(place + "/verdict", "after a restart: " + verdict.problem);
  const Status closed = (*opened)->close();
  write_text(place + "/verdict", closed.ok() ? "fine" : "closing it failed: " + closed.to_string());
}

Outcome run_with(const Fault& fault, const Options& options, const std::string& directory) {
  Outcome outcome;
  const std::string place = directory + "/run";
  fs::remove_all(place);
  fs::create_directories(place + "/data");
  if (!in_child([&] { run_workload(fault, options, place); })) {
    outcome.problem = "the process crashed";
    return outcome;
  }
  std::istringstream result(read_text(place + "/result"));
  result >> outcome.hit >> outcome.fatal;
  for (int& calls : outcome.calls) result >> calls;
  std::getline(result, outcome.problem);
  while (outcome.problem.starts_with(' ')) outcome.problem.erase(0, 1);
  if (outcome.problem.empty() && fault.call == Call::kMsync && outcome.hit && !outcome.fatal) {
    outcome.problem = "a failed msync was not fatal: a later one may succeed without what this one lost";
  }
  if (!outcome.problem.empty()) return outcome;
  const bool ended = in_child([&] { verify_restart(place); });
  const std::string verdict = read_text(place + "/verdict");
  if (!ended) {
    outcome.problem = "the next start crashed";
  } else if (verdict != "fine") {
    outcome.problem = verdict;
  }
  return outcome;
}

int run_all(const Options& options, const std::vector<Fault>& replayed) {
  const std::string directory = work_directory();
  std::mt19937_64 random(options.seed);
  std::vector<Fault> faults = replayed;
  const Outcome fine = run_with({}, options, directory);
  if (!fine.problem.empty()) {
    std::printf("FAILED without a fault: %s\n", fine.problem.c_str());
    return EXIT_FAILURE;
  }
  if (replayed.empty()) {
    for (size_t call = 0; call < static_cast<size_t>(Call::kCount); ++call) {
      // One more than there are: that run sees no fault.
      std::vector<int> nth(static_cast<size_t>(fine.calls[call]) + 1);
      std::iota(nth.begin(), nth.end(), 1);
      if (nth.size() > static_cast<size_t>(options.calls)) {
        std::shuffle(nth.begin(), nth.end(), random);
        nth.resize(static_cast<size_t>(options.calls));
        std::sort(nth.begin(), nth.end());
      }
      for (const int number : {EIO, ENOSPC}) {
        for (const int n : nth) faults.push_back({static_cast<Call>(call), number, n});
      }
    }
  }
  std::map<std::string, std::array<int, 4>> table;  // by call: runs, with a fault, fatal, calls without one
  for (const Fault& fault : faults) {
    const Outcome outcome = run_with(fault, options, directory);
    if (!outcome.problem.empty()) {
      std::printf("FAILED %s: %s\n  replay: disk_failures --seed %llu --replay %s\n  the directory: %s\n",
                  name_of(fault).c_str(), outcome.problem.c_str(), static_cast<unsigned long long>(options.seed),
                  name_of(fault).c_str(), directory.c_str());
      return EXIT_FAILURE;
    }
    auto& row = table[std::string(call_name(fault.call))];
    ++row[0];
    row[1] += outcome.hit ? 1 : 0;
    row[2] += outcome.fatal ? 1 : 0;
    row[3] = fine.calls[static_cast<size_t>(fault.call)];
  }
  fs::remove_all(directory);
  std::printf("%-10s %6s %6s %6s %6s\n", "call", "calls", "runs", "failed", "fatal");
  for (const auto& [name, row] : table) {
    std::printf("%-10s %6d %6d %6d %6d\n", name.c_str(), row[3], row[0], row[1], row[2]);
  }
  return EXIT_SUCCESS;
}

// CALL,ERRNO,NTH as name_of() writes it.
bool parse_fault(const std::string& text, Fault& fault) {
  const size_t first = text.find(',');
  const size_t second = text.find(',', first + 1);
  if (first == std::string::npos || second == std::string::npos) return false;
  for (size_t call = 0; call < static_cast<size_t>(Call::kCount); ++call) {
    if (call_name(static_cast<Call>(call)) == text.substr(0, first)) fault.call = static_cast<Call>(call);
  }
  fault.number = text.substr(first + 1, second - first - 1) == "EIO" ? EIO : ENOSPC;
  fault.nth = std::atoi(text.c_str() + second + 1);
  return fault.call != Call::kCount && fault.nth > 0;
}

int start(int argc, char** argv) {
  Options options;
  CLI::App app("Every call to the disk fails once");
  app.add_option("--seed", options.seed, "of the workload");
  app.add_option("--calls", options.calls, "of each kind, at most; a sample when there are more");
  app.add_option("--steps", options.steps, "of the workload");
  app.add_option("--replay", options.replay, "CALL,ERRNO,NTH of a failure");
  app.add_flag("--verbose", options.verbose, "shows the database's log");
  CLI11_PARSE(app, argc, argv);
  spdlog::set_level(options.verbose ? spdlog::level::info : spdlog::level::off);
  std::vector<Fault> replayed;
  if (!options.replay.empty()) {
    replayed.resize(1);
    if (!parse_fault(options.replay, replayed[0])) {
      std::fprintf(stderr, "--replay takes CALL,ERRNO,NTH, for instance fsync,EIO,12\n");
      return 2;
    }
  }
  std::printf("seed %llu\n", static_cast<unsigned long long>(options.seed));
  return run_all(options, replayed);
}

}  // namespace
}  // namespace vs::crash

int main(int argc, char** argv) { return vs::crash::start(argc, argv); }
