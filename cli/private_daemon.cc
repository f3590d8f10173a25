#include "cli/private_daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <random>
#include <vector>

#include "cli/client.h"
#include "cli/file.h"
#include "cli/interrupt.h"

namespace vs::cli {
namespace {

Status failed(const std::string& what) { return {Code::kIoError, what + ": " + std::strerror(errno)}; }

std::string default_program() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string beside = error ? "" : (self.parent_path() / "vsd").string();
  return !beside.empty() && ::access(beside.c_str(), X_OK) == 0 ? beside : "vsd";
}

// The TCP port, which cannot be turned off, is of use to nobody who does not know this.
Status write_token(const std::string& path) {
  constexpr int kDigits = 48;
  constexpr char kHex[] = "0123456789abcdef";
  std::random_device random;
  std::string token;
  for (int i = 0; i < kDigits; ++i) token += kHex[random() % 16];
  VS_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path));
  VS_RETURN_IF_ERROR(file.write(token + "\n"));
  VS_RETURN_IF_ERROR(file.commit());
  return ::chmod(path.c_str(), 0600) == 0 ? Status() : failed("cannot change the mode of " + path);
}

// This program's environment without settings of vsd, which are meant for another one.
std::vector<char*> environment_without_settings() {
  std::vector<char*> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, "VSD_", 4) != 0) kept.push_back(*entry);
  }
  kept.push_back(nullptr);
  return kept;
}

// What vsd said last: the text of a message='…', or the whole line.
std::string last_words(const std::string& log) {
  constexpr std::string_view kMessage = "message='";
  const auto text = read_text_file(log);
  if (!text.ok()) return text.status().message();
  std::string_view line = *text;
  while (line.ends_with('\n')) line.remove_suffix(1);
  line = line.substr(line.rfind('\n') + 1);
  const size_t begin = line.find(kMessage);
  if (begin != std::string_view::npos) {
    line = line.substr(begin + kMessage.size());
    line = line.substr(0, line.rfind('\''));
  }
  return line.empty() ? "it said nothing" : std::string(line);
}

}  // namespace

struct PrivateDaemon::State {
  std::string folder;
  std::string socket;
  std::string log;
  pid_t child = -1;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (child > 0) {
      // What it has is thrown away, so it need not finish anything.
      ::kill(child, SIGKILL);
      while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
      }
    }
    std::error_code ignored;  // in a folder for temporary files, which others clean up, too
    if (!folder.empty()) std::filesystem::remove_all(folder, ignored);
  }

  Status make_folder(const std::string& scratch) {
    folder = scratch + "/vsctl-copy-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) {
      folder.clear();
      return failed("cannot make a folder in " + scratch);
    }
    socket = folder + "/vsd.sock";
    log = folder + "/log";
    return write_token(folder + "/token");
  }

  Status run(const Options& options) {
    const std::string program = options.program.empty() ? default_program() : options.program;
    std::vector<std::string> words = {program, "--restore", options.snapshot, "--data-dir", folder + "/data",
                                      "--socket", socket, "--listen", "127.0.0.1:0", "--token-file", folder + "/token",
                                      // Nothing of it has to survive.
                                      "--durability", "none", "--free-space-reserve-mb", "0", "--log-level", "error"};
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    std::vector<char*> environment = environment_without_settings();
    const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (output < 0) return failed("cannot write " + log);
    const pid_t parent = ::getpid();
    child = ::fork();
    if (child == 0) {
      // A Ctrl-C is for this program alone, which then ends the other one; so does whatever else ends it.
      ::setpgid(0, 0);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      ::dup2(output, STDERR_FILENO);
      ::dup2(output, STDOUT_FILENO);
      ::execvpe(arguments[0], arguments.data(), environment.data());
      const std::string why = "cannot run " + program + ": " + std::strerror(errno) + "; name it with --vsd PATH\n";
      static_cast<void>(!::write(STDERR_FILENO, why.data(), why.size()));
      ::_exit(1);
    }
    Status status = child < 0 ? failed("cannot start a process") : Status();
    ::close(output);
    return status;
  }

  Status wait_until_it_serves() {
    constexpr int kFirstWaitMs = 5;
    constexpr int kWaitMs = 200;
    constexpr int kExitCorrupt = 5;
    Settings settings;
    settings.socket = socket;
    for (int wait_ms = kFirstWaitMs;; wait_ms = std::min(2 * wait_ms, kWaitMs)) {
      if (Interrupt::requested()) return {Code::kShuttingDown, "stopped"};
      int how = 0;
      const pid_t ended = ::waitpid(child, &how, WNOHANG);
      if (ended == child) {
        child = -1;
        const bool corrupt = WIFEXITED(how) && WEXITSTATUS(how) == kExitCorrupt;
        return {corrupt ? Code::kCorrupt : Code::kInternal, last_words(log)};
      }
      if (::access(socket.c_str(), F_OK) == 0 && Client::connect(settings).ok()) return {};
      ::poll(nullptr, 0, wait_ms);
    }
  }
};

Result<PrivateDaemon> PrivateDaemon::start(const Options& options) {
  auto state = std::make_unique<State>();
  VS_RETURN_IF_ERROR(state->make_folder(options.scratch));
  VS_RETURN_IF_ERROR(state->run(options));
  VS_RETURN_IF_ERROR(state->wait_until_it_serves());
  return PrivateDaemon(std::move(state));
}

PrivateDaemon::PrivateDaemon(std::unique_ptr<State> state) : state_(std::move(state)) {}
PrivateDaemon::PrivateDaemon(PrivateDaemon&&) noexcept = default;
PrivateDaemon& PrivateDaemon::operator=(PrivateDaemon&&) noexcept = default;
PrivateDaemon::~PrivateDaemon() = default;

const std::string& PrivateDaemon::socket() const { return state_->socket; }

}  // namespace vs::cli
