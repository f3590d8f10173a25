// A progress bar with rate and remaining time on stderr, if that is a terminal.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace vs::cli {

class Progress {
 public:
  Progress(std::string what, std::string unit, uint64_t total);
  // Clears the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // From any thread; draws at most ten times a second.
  void advance(uint64_t count);

 private:
  void draw(uint64_t done);

  const std::string what_;
  const std::string unit_;
  const uint64_t total_;
  const bool shown_;
  const std::chrono::steady_clock::time_point start_;
  std::atomic<uint64_t> done_{0};
  std::mutex mutex_;  // of the drawing
  std::chrono::steady_clock::time_point drawn_;
};

// "0:07", "12:30", "1:02:03"
std::string short_duration(double seconds);

}  // namespace vs::cli
