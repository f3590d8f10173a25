// What all sessions share: the database, its jobs, the token, the counters.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "daemon/jobs.h"
#include "storage/database.h"

namespace vs::daemon {

struct Service {
  storage::Database& database;
  std::string token;  // empty: none is asked for
  storage::Durability durability = storage::Durability::kAlways;
  unsigned threads = 1;  // that serve clients
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();

  std::atomic<uint64_t> clients{0};
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> errors{0};
  std::atomic<bool> shutting_down{false};
  std::function<void()> shut_down{};  // set by the server; from any thread
  Jobs jobs{};                        // stopped before the database is closed
};

}  // namespace vs::daemon
