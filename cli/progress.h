// A progress bar with rate and remaining time on stderr, if that is a terminal.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
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
  // "what [####....]  50%  detail". `part` is from 0 to 1.
  void draw(double part, const std::string& detail) const;

 private:
  const std::string what_;
  const bool shown_;
};

// For work that this program counts.
class Progress {
 public:
  Progress(std::string what, std::string unit, uint64_t total);

  // From any thread; draws at most ten times a second.
  void advance(uint64_t count);

 private:
  void draw(uint64_t done);

  const ProgressLine line_;
  const std::string unit_;
  const uint64_t total_;
  const std::chrono::steady_clock::time_point start_;
  std::atomic<uint64_t> done_{0};
  std::mutex mutex_;  // of the drawing
  std::chrono::steady_clock::time_point drawn_;
};

// "0:07", "12:30", "1:02:03"
std::string short_duration(double seconds);

}  // namespace vs::cli
