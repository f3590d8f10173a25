#include "daemon/server.h"

#include <sched.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <thread>
#include <vector>

#include "daemon/notify.h"
#include "storage/thread_role.h"

namespace vs::daemon {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using local_stream = asio::local::stream_protocol;

// How long requests that are under way may take when the server stops.
constexpr std::chrono::seconds kDrainMax{10};
// How long no client is accepted when the process is out of descriptors or memory.
constexpr std::chrono::milliseconds kAcceptPause{100};
// Clients beyond the limit that are told so at a time; more are closed without a word.
constexpr size_t kRefusedMax = 64;

bool is_exhausted(const error_code& error) {
  return error == asio::error::no_descriptors || error == asio::error::no_buffer_space ||
         error == asio::error::no_memory || error == boost::system::errc::too_many_files_open_in_system;
}

// A client that sends one request after the other is mostly back within this time, and a thread that sleeps takes as long
// to wake up as a search takes.
constexpr std::chrono::microseconds kSpin{50};

void run_loop(asio::io_context& io) {
  auto last = std::chrono::steady_clock::now();
  while (!io.stopped()) {
    if (io.poll() > 0) {
      last = std::chrono::steady_clock::now();
    } else if (std::chrono::steady_clock::now() - last < kSpin) {
      ::sched_yield();  // the client may need this core
    } else {
      io.run_one();
      last = std::chrono::steady_clock::now();
    }
  }
}

Status io_error(const std::string& what, const error_code& error, const std::string& advice) {
  return {Code::kIoError, what + ": " + error.message() + "; " + advice};
}

}  // namespace

struct Server::Loop {
  size_t sessions = 0;     // under sessions_mutex_; outlives those that are destroyed with the next member
  asio::io_context io{1};  // one thread
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
};

template <class Protocol>
struct Server::Listener {
  explicit Listener(asio::io_context& io) : acceptor(io), pause(io) {}

  asio::basic_socket_acceptor<Protocol> acceptor;
  asio::steady_timer pause;
};

Server::Server(Service& service, size_t clients_max)
    : service_(service),
      clients_max_(clients_max),
      loops_(make_loops(service.threads)),
      pools_(service.threads),
      signals_(loops_.front()->io),
      drain_timer_(loops_.front()->io) {
  service_.shut_down = [this] { stop(); };
}

Server::~Server() {
  if (!socket_path_.empty()) ::unlink(socket_path_.c_str());
}

std::vector<std::unique_ptr<Server::Loop>> Server::make_loops(unsigned count) {
  std::vector<std::unique_ptr<Loop>> loops;
  for (unsigned i = 0; i < count; ++i) loops.push_back(std::make_unique<Loop>());
  return loops;
}

template <class Protocol>
Status Server::bind(Listener<Protocol>& listener, const typename Protocol::endpoint& endpoint,
                    const std::string& name) {
  error_code error;
  listener.acceptor.open(endpoint.protocol(), error);
  if (!error && std::is_same_v<Protocol, tcp>) {
    listener.acceptor.set_option(asio::socket_base::reuse_address(true), error);
  }
  if (!error) listener.acceptor.bind(endpoint, error);
  if (!error) listener.acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return io_error("cannot listen on " + name, error, "is another server there? Choose another, or port 0");
  return {};
}

Status Server::listen(const Config& config) {
  const std::string name = config.listen_host + ":" + std::to_string(config.listen_port);
  tcp_ = std::make_unique<Listener<tcp>>(loops_.front()->io);
  VS_RETURN_IF_ERROR(bind(*tcp_, {asio::ip::make_address(config.listen_host), config.listen_port}, name));
  if (!config.socket.empty()) VS_RETURN_IF_ERROR(listen_local(config.socket));
  // Here and not in run(): the log says "ready" in between, and whoever waits for that may send a signal at once.
  signals_.add(SIGTERM);
  signals_.add(SIGINT);
  signals_.async_wait([this](error_code error, int signal) {
    if (!error) begin_stop(signal == SIGTERM ? "SIGTERM" : "SIGINT");
  });
  return {};
}

Status Server::listen_local(const std::string& path) {
  const local_stream::endpoint endpoint(path);
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) {
      return {Code::kIoError,
              "cannot make the socket " + path + ": a file that is no socket stands there; choose another path"};
    }
    local_stream::socket probe(loops_.front()->io);
    error_code error;
    probe.connect(endpoint, error);
    if (!error)
      return {Code::kBusy, "another server answers on the socket " + path + "; stop it or choose another path"};
    // Left over from a process that was killed.
    ::unlink(path.c_str());
  }
  local_ = std::make_unique<Listener<local_stream>>(loops_.front()->io);
  // Nobody else may connect, not even between bind and a chmod.
  const mode_t before = ::umask(0177);
  Status bound = bind(*local_, endpoint, path);
  ::umask(before);
  if (bound.ok()) socket_path_ = path;
  return bound;
}

std::string Server::endpoint() const {
  error_code ignored;
  const tcp::endpoint endpoint = tcp_->acceptor.local_endpoint(ignored);
  const std::string host = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(endpoint.port());
}

template <class Protocol>
void Server::accept(Listener<Protocol>& listener) {
  constexpr bool kLocal = std::is_same_v<Protocol, local_stream>;
  // The session's socket belongs to its loop from the start.
  Loop& loop = emptiest_loop();
  listener.acceptor.async_accept(
      asio::any_io_executor(loop.io.get_executor()), [this, &listener, &loop](error_code error, auto socket) {
        if (stopping_) return;
        if (is_exhausted(error)) {
          spdlog::warn("accept_failed error='{}' clients={}", error.message(), service_.clients.load());
          listener.pause.expires_after(kAcceptPause);
          listener.pause.async_wait([this, &listener](error_code) {
            if (!stopping_) accept(listener);
          });
          return;
        }
        if (!error) {
          if constexpr (!kLocal) socket.set_option(tcp::no_delay(true), error);
          welcome(std::move(socket), loop, kLocal);
        }
        accept(listener);
      });
}

Server::Loop& Server::emptiest_loop() {
  const std::lock_guard lock(sessions_mutex_);
  return **std::min_element(loops_.begin(), loops_.end(),
                            [](const auto& a, const auto& b) { return a->sessions < b->sessions; });
}

void Server::welcome(Session::Socket socket, Loop& loop, bool local) {
  const uint64_t clients = service_.clients.fetch_add(1) + 1;
  const bool full = clients > clients_max_;
  if (clients > clients_max_ + kRefusedMax) {
    service_.clients.fetch_sub(1);
    return;
  }
  const auto session = std::make_shared<Session>(std::move(socket), local, service_, pools_,
                                                 [this](Session* ended) { session_ended(ended); });
  {
    const std::lock_guard lock(sessions_mutex_);
    sessions_.emplace(session.get(), Entry{session, loop});
    ++loop.sessions;
  }
  if (!full) return session->start();
  session->refuse({Code::kLimit, "this server takes " + std::to_string(clients_max_) +
                                     " clients and has as many; close one, or raise its limit of open files"});
}

void Server::session_ended(Session* session) {
  service_.clients.fetch_sub(1);
  const std::lock_guard lock(sessions_mutex_);
  const auto entry = sessions_.find(session);
  --entry->second.loop.sessions;
  sessions_.erase(entry);
  if (stopping_ && sessions_.empty() && !ended_) end_loops();
}

void Server::end_loops() {
  for (const auto& loop : loops_) loop->io.stop();
}

void Server::stop() {
  service_.shutting_down = true;
  asio::post(loops_.front()->io, [this] { begin_stop("request"); });
}

void Server::begin_stop(const std::string& reason) {
  if (stopping_) return;
  spdlog::info("stopping reason='{}' clients={}", reason, service_.clients.load());
  notify_systemd("STOPPING=1");
  service_.shutting_down = true;
  // They end while the sessions drain.
  service_.jobs.cancel_all();
  error_code ignored;
  // From here on a second signal has its default effect.
  signals_.clear(ignored);
  tcp_->acceptor.close(ignored);
  if (local_) local_->acceptor.close(ignored);
  std::vector<std::shared_ptr<Session>> sessions;
  {
    const std::lock_guard lock(sessions_mutex_);
    stopping_ = true;
    for (const auto& [key, entry] : sessions_) {
      if (auto session = entry.session.lock()) sessions.push_back(std::move(session));
    }
    if (sessions_.empty()) return end_loops();
  }
  drain_timer_.expires_after(kDrainMax);
  drain_timer_.async_wait([this](error_code error) {
    if (error) return;
    spdlog::warn("drain_timed_out clients={}", service_.clients.load());
    end_loops();
  });
  for (const auto& session : sessions) session->drain();
}

void Server::run() {
  accept(*tcp_);
  if (local_) accept(*local_);
  std::vector<std::thread> threads;
  for (const auto& loop : loops_) {
    threads.emplace_back([&loop] {
      storage::take_role("vsd-serve", storage::ThreadRole::kServes);
      run_loop(loop->io);
    });
  }
  for (std::thread& thread : threads) thread.join();
  {
    const std::lock_guard lock(sessions_mutex_);
    ended_ = true;
  }
  pools_.slow.join();
  pools_.heavy.join();
}

}  // namespace vs::daemon
