#include "cli/input_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace vs::cli {

struct InputStream::State {
  gzFile file = nullptr;  // passes a file that is not gzip on as it is
  bool regular = false;
  uint64_t file_bytes = 0;
  std::string buffer;  // [taken, size) is not yet taken
  size_t taken = 0;
  bool at_end = false;
  Status error;  // that ended it; what was read before is still handed out

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (file != nullptr) gzclose(file);
  }
};

namespace {

constexpr size_t kPieceBytes = 256u << 10;

Status read_error(gzFile file) {
  int error = Z_OK;
  const std::string text = gzerror(file, &error);
  if (error == Z_ERRNO) return errno_status("cannot read");
  if (error == Z_BUF_ERROR) return {Code::kBadRequest, "the gzip data end too early: the file is truncated"};
  if (error != Z_OK && error != Z_STREAM_END) return {Code::kBadRequest, "the gzip data are damaged (" + text + ")"};
  return {};
}

// Whether somebody has the pipe open for writing, or had and left bytes in it. poll() does not tell that from a pipe that was
// never opened, and a read would take a byte.
bool has_writer(int pipe) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return true;  // then it is waited for
  const ssize_t got = ::tee(pipe, ends[1], 1, SPLICE_F_NONBLOCK);
  const bool there = got > 0 || (got < 0 && errno == EAGAIN);
  ::close(ends[0]);
  ::close(ends[1]);
  return there;
}

// The writer may be started at the same moment as this program.
Status wait_for_writer(int pipe) {
  constexpr int kTries = 100;
  constexpr int kPauseMs = 20;
  for (int i = 0; i < kTries; ++i) {
    if (has_writer(pipe)) return {};
    ::poll(nullptr, 0, kPauseMs);
  }
  return {Code::kIoError, "it is a pipe, and no program has it open for writing; start that one first"};
}

}  // namespace

Status errno_status(const char* what) { return {Code::kIoError, std::string(what) + ": " + std::strerror(errno)}; }

InputStream::InputStream(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<InputStream> InputStream::open(const std::string& path) {
  const bool standard = path == "-";
  // Without O_NONBLOCK it would wait for a writer of a pipe as long as none comes.
  const int file =
      standard ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return errno_status("cannot open");
  auto state = std::make_shared<State>();
  struct stat info {};
  Status status;
  if (::fstat(file, &info) != 0 || (!standard && ::fcntl(file, F_SETFL, 0) != 0))
    status = errno_status("cannot open");
  else if (S_ISDIR(info.st_mode))
    status = {Code::kIoError, "expected a regular file, a pipe or - for the standard input; it is a directory"};
  else if (!standard && S_ISFIFO(info.st_mode))
    status = wait_for_writer(file);
  if (status.ok() && (state->file = gzdopen(file, "rb")) == nullptr)
    status = {Code::kInternal, "not enough memory to open the file"};
  if (!status.ok()) {
    ::close(file);
    return status;
  }
  gzbuffer(state->file, 128u << 10);
  state->regular = !standard && S_ISREG(info.st_mode);
  state->file_bytes = static_cast<uint64_t>(info.st_size);
  return InputStream(std::move(state));
}

Result<std::string_view> InputStream::peek(size_t bytes) {
  State& state = *state_;
  if (state.buffer.size() - state.taken < bytes && !state.at_end) {
    state.buffer.erase(0, std::exchange(state.taken, 0));
    while (state.buffer.size() < bytes && !state.at_end) {
      const size_t before = state.buffer.size();
      state.buffer.resize(before + kPieceBytes);
      const int got = gzread(state.file, state.buffer.data() + before, static_cast<unsigned>(kPieceBytes));
      state.buffer.resize(before + static_cast<size_t>(std::max(got, 0)));
      if (got == static_cast<int>(kPieceBytes)) continue;
      state.error = read_error(state.file);
      state.at_end = true;
    }
  }
  const std::string_view buffered = std::string_view(state.buffer).substr(state.taken);
  if (buffered.size() < bytes) VS_RETURN_IF_ERROR(state.error);
  return buffered;
}

void InputStream::take(size_t bytes) { state_->taken += bytes; }

Result<bool> InputStream::line(std::string_view& out, size_t bytes_max) {
  size_t searched = 0;
  for (;;) {
    VS_ASSIGN_OR_RETURN(const std::string_view buffered, peek(searched + 1));
    const size_t end = buffered.find('\n', searched);
    if (std::min(end, buffered.size()) > bytes_max)
      return Status{Code::kTooLarge, "expected lines of at most " + std::to_string(bytes_max >> 20) +
                                         " MiB; this one is longer. Is it a text file?"};
    if (end == std::string_view::npos && buffered.size() > searched) {
      searched = buffered.size();
      continue;
    }
    if (buffered.empty()) return false;
    out = buffered.substr(0, end);
    take(std::min(out.size() + 1, buffered.size()));
    if (!out.empty() && out.back() == '\r') out.remove_suffix(1);
    return true;
  }
}

bool InputStream::regular() const { return state_->regular; }

bool InputStream::packed() const { return gzdirect(state_->file) == 0; }

std::optional<double> InputStream::part() const {
  if (!state_->regular || state_->file_bytes == 0) return std::nullopt;
  const auto read = static_cast<double>(std::max<z_off_t>(gzoffset(state_->file), 0));
  return std::min(1.0, read / static_cast<double>(state_->file_bytes));
}

}  // namespace vs::cli
