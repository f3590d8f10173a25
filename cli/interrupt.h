// Ctrl-C (SIGINT) and SIGTERM as a wish to stop, for commands that have something to finish or to clean up.
#pragma once

#include <csignal>
#include <cstddef>

namespace vs::cli {

// While it lives, the first signal is only noted; the second one ends the program. One at a time.
class Interrupt {
 public:
  Interrupt();
  // What the signals did before.
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // From any thread.
  static bool requested();

 private:
  static constexpr int kSignals[] = {SIGINT, SIGTERM};
  struct sigaction before_[2]{};
};

}  // namespace vs::cli
