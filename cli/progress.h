// A progress bar with rate and remaining time on stderr, if that is a terminal.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

namespace vs::cli {

// The line itself.
class ProgressLine {
 public:
  explicit ProgressLine(std::string what);
  // Clears it.
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  bool shown() const { return shown_; }
  // "what [####....]  50%  detail"; `part` is from 0 to 1, and without it there is no bar.
  void draw(std::optional<double> part, const std::string& detail) const;

 private:
  const std::string what_;
  const bool shown_;
};

// For work that this program counts.
class Progress {
 public:
  // `total` is nullopt if it cannot be known; `done` of it were done before this began.
  Progress(std::string what, std::string unit, std::optional<uint64_t> total, uint64_t done = 0);

  // From any thread; draws at most ten times a second.
  void advance(uint64_t count);
  // How much is done, from 0 to 1, where the total is not known but the size of what is read is.
  void set_part(double part) { part_.store(part, std::memory_order_relaxed); }

 private:
  void draw(uint64_t done);

  const ProgressLine line_;
  const std::string unit_;
  const std::optional<uint64_t> total_;
  const uint64_t before_;
  const std::chrono::steady_clock::time_point start_;
  std::atomic<uint64_t> done_;
  std::atomic<double> part_{-1};  // below 0 while it is not known
  std::mutex mutex_;              // of the drawing
  std::chrono::steady_clock::time_point drawn_;
};

// "0:07", "12:30", "1:02:03"
std::string short_duration(double seconds);

}  // namespace vs::cli
