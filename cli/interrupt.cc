#include "cli/interrupt.h"

#include <atomic>
#include <iterator>

namespace vs::cli {
namespace {

std::atomic<bool> noted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may use no other");

}  // namespace

Interrupt::Interrupt() {
  static_assert(std::size(kSignals) == std::size(decltype(before_){}));
  noted = false;
  struct sigaction action {};
  action.sa_handler = [](int) { noted = true; };
  // A read that waits for the daemon goes on.
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    ::sigaction(kSignals[i], nullptr, &before_[i]);
    // Whoever started the program may want it to go on.
    if (before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &action, nullptr);
  }
}

Interrupt::~Interrupt() {
  for (size_t i = 0; i < std::size(kSignals); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
}

bool Interrupt::requested() { return noted; }

}  // namespace vs::cli
