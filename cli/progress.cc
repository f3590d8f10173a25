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

void ProgressLine::draw(std::optional<double> part, const std::string& detail) const {
  constexpr size_t kBarWidth = 24;
  if (!shown_) return;
  std::string bar;
  if (part) {
    const auto filled = static_cast<size_t>(*part * kBarWidth);
    char percent[16];
    std::snprintf(percent, sizeof percent, "] %3.0f%%  ", *part * 100);
    bar = "[" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + percent;
  }
  std::fprintf(stderr, "\r%s %s%s\033[K", what_.c_str(), bar.c_str(), detail.c_str());
  std::fflush(stderr);
}

Progress::Progress(std::string what, std::string unit, std::optional<uint64_t> total, uint64_t done)
    : line_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      before_(done),
      start_(Clock::now()),
      done_(done),
      drawn_(start_) {}

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
  const double rate = seconds > 0 ? static_cast<double>(done - before_) / seconds : 0;
  const std::string speed = " " + unit_ + "  " + fixed(rate, 0) + " " + unit_ + "/s";
  if (total_) {
    const auto total = static_cast<double>(*total_);
    const double part = *total_ > 0 ? std::min(1.0, static_cast<double>(done) / total) : 1;
    const double left = rate > 0 ? static_cast<double>(*total_ - std::min(done, *total_)) / rate : 0;
    return line_.draw(part,
                      std::to_string(done) + "/" + std::to_string(*total_) + speed + "  ETA " + short_duration(left));
  }
  // The rows so far took that part of the input; those that are left will be as long.
  const double part = part_.load(std::memory_order_relaxed);
  if (part <= 0) return line_.draw(std::nullopt, std::to_string(done) + speed);
  const double left = rate > 0 ? static_cast<double>(done) * (1 / part - 1) / rate : 0;
  line_.draw(part, std::to_string(done) + speed + "  ETA " + short_duration(left));
}

}  // namespace vs::cli
