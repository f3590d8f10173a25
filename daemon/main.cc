// vsd: opens the database, serves it until it is told to stop, and closes it. Or checks one that nobody serves.
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "daemon/bus_error.h"
#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/offline_check.h"
#include "daemon/server.h"
#include "daemon/service.h"
#include "daemon/verbs.h"
#include "storage/collection.h"
#include "storage/database.h"
#include "storage/restore.h"

namespace vs::daemon {
namespace {

constexpr int kExitFailure = 1;
constexpr int kExitUsage = 2;
constexpr int kExitCorrupt = 5;

int failed(std::string_view what, const Status& status) {
  spdlog::error("{} code={} message='{}'", what, code_name(status.code()), status.message());
  if (status.code() == Code::kBadArgument) return kExitUsage;
  return status.code() == Code::kCorrupt ? kExitCorrupt : kExitFailure;
}

// Makes the data directory of the snapshot.
Status restore(const std::string& snapshot, const std::string& directory) {
  const auto begin = std::chrono::steady_clock::now();
  spdlog::info("restoring snapshot={} data_dir={}", snapshot, directory);
  storage::Progress progress;
  VS_ASSIGN_OR_RETURN(const storage::Manifest manifest,
                      storage::restore_snapshot(storage::posix_file_system(), snapshot, directory, progress));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  spdlog::info("restored tag={} time={} collections={} points={} bytes={} seconds={:.2f}", manifest.tag, manifest.time,
               manifest.collections.size(), manifest.points(), manifest.bytes(), took.count());
  return {};
}

size_t reserved_descriptors(unsigned threads) {
  return limits::kReservedFileDescriptors + Server::kDescriptorsPerThread * threads;
}

// Raises the limit of open files as far as it goes. How many clients that allows; 0 if it is too low to serve.
size_t raise_client_limit(unsigned threads) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0 && ::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const size_t reserved = reserved_descriptors(threads);
  if (limit.rlim_cur <= reserved) return 0;
  return static_cast<size_t>(std::min<rlim_t>(limit.rlim_cur - reserved, limits::kClients));
}

storage::DatabaseOptions database_options(const Config& config, unsigned threads) {
  storage::DatabaseOptions options;
  options.directory = config.data_dir;
  options.durability = config.durability;
  options.threads = threads;
  if (config.free_space_reserve_mb) options.free_space_reserve_bytes = *config.free_space_reserve_mb << 20;
  options.replay_budget_s = config.replay_budget_s;
  options.checkpoint_operations = config.checkpoint_operations;
  options.checkpoint_interval_s = config.checkpoint_interval_s;
  options.compact_at_percent = config.compact_at_percent;
  options.rebuild_threads = config.rebuild_threads;
  options.lock_hot_files = config.lock_hot_files;
  // Not exit(): destructors would wait for threads that wait for the disk.
  options.on_fatal = [](const Status& status) {
    spdlog::critical("fatal code={} message='{}' action='exiting; start again to recover'", code_name(status.code()),
                     status.message());
    ::_exit(kExitFailure);
  };
  return options;
}

void log_ready(const storage::Database& database, const std::string& endpoint, const Config& config, double open_ms) {
  uint64_t points = 0;
  const auto names = database.names();
  for (const std::string& name : names) {
    const auto collection = database.find(name);
    if (collection.ok()) {
      points += (*collection)->stats().live;
    } else {
      spdlog::error("collection_unavailable name={} message='{}'", name, collection.status().message());
    }
  }
  spdlog::info("ready listen={} socket={} collections={} points={} durability={} kernels={} open_ms={:.0f}", endpoint,
               config.socket.empty() ? "none" : config.socket, names.size(), points,
               storage::durability_name(config.durability), kernels().name, open_ms);
}

// `snapshot`: to restore before; empty for none.
int serve(const Config& config, const std::string& snapshot) {
  std::signal(SIGPIPE, SIG_IGN);
  // Files 0600 and directories 0700, also those that RocksDB makes.
  ::umask(0077);
  const unsigned threads = config.threads != 0 ? config.threads : std::max(1u, std::thread::hardware_concurrency());
  const size_t clients_max = raise_client_limit(threads);
  if (clients_max == 0) {
    spdlog::error("too_few_open_files needed={} action='raise it with ulimit -n'", reserved_descriptors(threads) + 1);
    return kExitFailure;
  }
  const auto begin = std::chrono::steady_clock::now();
  spdlog::info("starting version={} pid={} data_dir={} threads={} clients_max={}", VS_VERSION, ::getpid(),
               config.data_dir, threads, clients_max);
  if (!snapshot.empty()) {
    if (const Status restored = restore(snapshot, config.data_dir); !restored.ok()) {
      return failed("restore_failed", restored);
    }
  }
  auto opened = storage::Database::open(database_options(config, threads));
  if (!opened.ok()) return failed("open_failed", opened.status());
  const std::unique_ptr<storage::Database> database = *std::move(opened);
  const std::chrono::duration<double, std::milli> open_time = std::chrono::steady_clock::now() - begin;

  Service service{.database = *database, .token = config.token, .durability = config.durability, .threads = threads};
  database->on_compaction_due([&service](const std::string& collection) {
    const auto job = start_compaction(service, collection);
    if (!job.ok()) spdlog::warn("compaction_waits collection={} status='{}'", collection, job.status().to_string());
  });
  Server server(service, clients_max);
  const Status listening = server.listen(config);
  if (listening.ok()) {
    log_ready(*database, server.endpoint(), config, open_time.count());
    notify_systemd("READY=1");
    server.run();
  }
  service.jobs.stop();
  const Status closed = database->close();
  if (!listening.ok()) return failed("listen_failed", listening);
  if (!closed.ok()) return failed("close_failed", closed);
  spdlog::info("stopped requests={} errors={}", service.requests.load(), service.errors.load());
  return EXIT_SUCCESS;
}

int check_directory(const std::string& directory, bool deep) {
  set_up_log("warn");
  const auto clean = check_offline(directory, deep);
  if (clean.ok()) return *clean ? EXIT_SUCCESS : kExitCorrupt;
  std::fprintf(stderr, "vsd: cannot check %s: %s\n", directory.c_str(), clean.status().message().c_str());
  return clean.status().code() == Code::kCorrupt ? kExitCorrupt : kExitFailure;
}

int start(const std::vector<std::string>& arguments) {
  install_bus_error_handler(logs_to_journal());
  const auto startup = load_config(arguments, [](const char* name) { return std::getenv(name); });
  if (!startup.ok()) {
    std::fprintf(stderr, "vsd: %s\n", startup.status().message().c_str());
    return kExitUsage;
  }
  switch (startup->action) {
    case Startup::Action::kPrint:
      std::fputs(startup->text.c_str(), stdout);
      return EXIT_SUCCESS;
    case Startup::Action::kCheckConfig:
      std::fputs(describe(startup->settings).c_str(), stdout);
      return EXIT_SUCCESS;
    case Startup::Action::kCheckDirectory:
      return check_directory(startup->directory, startup->deep);
    case Startup::Action::kServe:
      break;
  }
  set_up_log(startup->config.log_level);
  return serve(startup->config, startup->restore);
}

}  // namespace
}  // namespace vs::daemon

int main(int argc, char** argv) { return vs::daemon::start({argv + 1, argv + argc}); }
