#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/table.h"

namespace vs::cli {

using Clock = std::chrono::steady_clock;

std::string short_duration(double seconds) {
  const auto whole = static_cast<long long>(std::llround(std::clamp(seconds, 0.0, 1e9)));
  char text[40];
  if (whole >= 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  else
    std::snprintf(text, sizeof text, "%lld:%02lld", whole / 60, whole % 60);
  return text;
}

ProgressLine::ProgressLine(std::string what) : what_(std::move(what)), shown_(::isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

void ProgressLine::draw(double part, const std::string& detail) const {
  constexpr size_t kBarWidth = 24;
  if (!shown_) return;
  const auto filled = static_cast<size_t>(part * kBarWidth);
  const std::string bar = std::string(filled, '#') + std::string(kBarWidth - filled, '.');
  std::fprintf(stderr, "\r%s [%s] %3.0f%%  %s\033[K", what_.c_str(), bar.c_str(), part * 100, detail.c_str());
  std::fflush(stderr);
}

Progress::Progress(std::string what, std::string unit, uint64_t total)
    : line_(std::move(what)), unit_(std::move(unit)), total_(total), start_(Clock::now()), drawn_(start_) {}

void Progress::advance(uint64_t count) {
  // A counter only; nothing else is published through it.
  const uint64_t done = done_.fetch_add(count, std::memory_order_relaxed) + count;
  if (!line_.shown()) return;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock || Clock::now() - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = Clock::now();
  draw(done);
}

void Progress::draw(uint64_t done) {
  const double seconds = std::chrono::duration<double>(drawn_ - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  const double part = total_ > 0 ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total_)) : 1;
  const double left = rate > 0 ? static_cast<double>(total_ - std::min(done, total_)) / rate : 0;
  line_.draw(part, std::to_string(done) + "/" + std::to_string(total_) + " " + unit_ + "  " + fixed(rate, 0) + " " +
                       unit_ + "/s  ETA " + short_duration(left));
}

}  // namespace vs::cli
