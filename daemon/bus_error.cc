#include "daemon/bus_error.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

#include "storage/mapped_regions.h"

namespace vs::daemon {
namespace {

// Everything below runs in the handler: no allocation, no lock, no stdio; system calls only of those that
// signal-safety(7) lists.

std::atomic<bool> to_journal{false};
std::atomic<bool> entered{false};
static_assert(std::atomic<bool>::is_always_lock_free);

constexpr int kPatienceMs = 2000;

// A line on the stack, below PIPE_BUF: a pipe gets it whole.
class Line {
 public:
  Line& text(std::string_view text) {
    const size_t bytes = std::min(text.size(), sizeof buffer_ - size_);
    std::memcpy(buffer_ + size_, text.data(), bytes);
    size_ += bytes;
    return *this;
  }
  Line& number(uint64_t value, size_t digits_min = 1, unsigned base = 10) {
    char digits[20];
    char* const end = digits + sizeof digits;
    char* begin = end;
    for (; value != 0 || begin > end - digits_min; value /= base) *--begin = "0123456789abcdef"[value % base];
    return text({begin, static_cast<size_t>(end - begin)});
  }
  // A log that nobody reads any more must not keep the process from ending.
  void write() const {
    pollfd descriptor{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
    if (::poll(&descriptor, 1, kPatienceMs) == 1) static_cast<void>(!::write(STDERR_FILENO, buffer_, size_));
  }

 private:
  char buffer_[storage::kMappedPathBytes + 1024];
  size_t size_ = 0;
};

// As log.cc begins a line, but in UTC: localtime() takes a lock.
void begin_line(Line& line) {
  if (to_journal.load(std::memory_order_relaxed)) {
    line.text("<2>");
    return;
  }
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const std::chrono::sys_seconds time{std::chrono::seconds(now.tv_sec)};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  line.number(static_cast<uint64_t>(static_cast<int>(date.year())), 4).text("-");
  line.number(static_cast<unsigned>(date.month()), 2).text("-");
  line.number(static_cast<unsigned>(date.day()), 2).text("T");
  line.number(static_cast<uint64_t>(clock.hours().count()), 2).text(":");
  line.number(static_cast<uint64_t>(clock.minutes().count()), 2).text(":");
  line.number(static_cast<uint64_t>(clock.seconds().count()), 2).text(".");
  line.number(static_cast<uint64_t>(now.tv_nsec / 1'000'000), 3).text("+00:00 level=critical ");
}

[[noreturn]] void end_with(Line& line, const storage::MappedPlace& place) {
  struct stat status {};
  const bool known = ::stat(place.path, &status) == 0;
  const bool cut = known && place.offset >= static_cast<uint64_t>(status.st_size);
  line.text("fatal code=").text(cut ? "corrupt" : "io_error").text(" file=").text(place.path);
  line.text(" offset=").number(place.offset);
  if (known) line.text(" file_bytes=").number(static_cast<uint64_t>(status.st_size));
  line.text(cut ? " message='the file ends before this offset: another program cut it while vsd used it'"
                  " action='exiting; the next start rebuilds the collection from RocksDB'\n"
                : " message='the system could not read this page of the file'"
                  " action='exiting; look at the disk, then start again'\n");
  line.write();
  ::_exit(EXIT_FAILURE);
}

// For a core dump. On return the instruction is repeated and faults again, at its own place; a signal that somebody sent
// has to be sent again.
void hand_on(Line& line, const siginfo_t& info) {
  line.text("fatal code=internal");
  if (info.si_code > 0) {
    line.text(" address=0x").number(reinterpret_cast<uintptr_t>(info.si_addr), 1, 16);
    line.text(" message='bus error outside of every mapped file'");
  } else {
    line.text(" message='process ").number(static_cast<uint64_t>(info.si_pid)).text(" sent SIGBUS'");
  }
  line.text(" action='ending with a core dump'\n").write();
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(SIGBUS, &standard, nullptr);
  if (info.si_code <= 0) ::raise(SIGBUS);
}

void on_bus_error(int, siginfo_t* info, void*) {
  // One thread speaks for all that run into the hole; it ends the process within its patience.
  if (entered.exchange(true)) {
    ::poll(nullptr, 0, 2 * kPatienceMs);
    ::_exit(EXIT_FAILURE);
  }
  Line line;
  begin_line(line);
  storage::MappedPlace place;
  if (info->si_code > 0 && storage::find_mapped_place(info->si_addr, place)) end_with(line, place);
  hand_on(line, *info);
}

}  // namespace

void install_bus_error_handler(bool journal) {
  to_journal = journal;
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  // No stack of its own (SA_ONSTACK): it is a page of a file that is missing, never one of the stack, and the few
  // kilobytes that the handler needs are there.
  action.sa_flags = SA_SIGINFO;
  sigfillset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace vs::daemon
