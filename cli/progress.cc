#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

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

Progress::Progress(std::string what, std::string unit, uint64_t total)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      shown_(::isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      drawn_(start_) {}

Progress::~Progress() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

void Progress::advance(uint64_t count) {
  // A counter only; nothing else is published through it.
  const uint64_t done = done_.fetch_add(count, std::memory_order_relaxed) + count;
  if (!shown_) return;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock || Clock::now() - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = Clock::now();
  draw(done);
}

void Progress::draw(uint64_t done) {
  constexpr size_t kBarWidth = 24;
  const double seconds = std::chrono::duration<double>(drawn_ - start_).count();
  const double rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
  const double part = total_ > 0 ? std::min(1.0, static_cast<double>(done) / static_cast<double>(total_)) : 1;
  const auto filled = static_cast<size_t>(part * kBarWidth);
  const std::string bar = std::string(filled, '#') + std::string(kBarWidth - filled, '.');
  const double left = rate > 0 ? static_cast<double>(total_ - std::min(done, total_)) / rate : 0;
  std::fprintf(stderr, "\r%s [%s] %3.0f%%  %llu/%llu %s  %.0f %s/s  ETA %s\033[K", what_.c_str(), bar.c_str(),
               part * 100, static_cast<unsigned long long>(done), static_cast<unsigned long long>(total_),
               unit_.c_str(), rate, unit_.c_str(), short_duration(left).c_str());
  std::fflush(stderr);
}

}  // namespace vs::cli
