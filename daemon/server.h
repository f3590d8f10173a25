// Listeners, threads and the end: accepts clients, gives each a session, and lets them finish when it is told to stop.
//
// Each thread has a loop of its own (an io_context), and a session stays with the loop that had the fewest when its client
// came. With one loop for all threads, each request woke another thread to wait for events while the first one answered;
// docs/benchmarks.md has what that cost.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/config.h"
#include "daemon/service.h"
#include "daemon/session.h"
#include "index/status.h"

namespace vs::daemon {

class Server {
 public:
  // Of a loop: for its epoll, its timers and to wake it.
  static constexpr size_t kDescriptorsPerThread = 3;

  // `service` outlives the server. The server outlives all calls of the database's callbacks: close the database first.
  Server(Service& service, size_t clients_max);
  ~Server();

  // Binds the TCP port and, if there is one, the Unix socket. Errors: kIoError (says what to do), kBusy (a live server
  // has the Unix socket).
  Status listen(const Config& config);
  // "127.0.0.1:8700", the port as it was bound.
  std::string endpoint() const;
  // Serves until SIGTERM, SIGINT or stop(), then until the sessions have ended, or for kDrainMax.
  void run();
  // From any thread.
  void stop();

 private:
  struct Loop;
  template <class Protocol>
  struct Listener;

  static std::vector<std::unique_ptr<Loop>> make_loops(unsigned count);
  template <class Protocol>
  Status bind(Listener<Protocol>& listener, const typename Protocol::endpoint& endpoint, const std::string& name);
  Status listen_local(const std::string& path);
  template <class Protocol>
  void accept(Listener<Protocol>& listener);
  void welcome(Session::Socket socket, Loop& loop, bool local);
  Loop& emptiest_loop();
  void end_loops();
  void begin_stop(const std::string& reason);
  void session_ended(Session* session);

  Service& service_;
  const size_t clients_max_;
  std::mutex sessions_mutex_;
  struct Entry {
    std::weak_ptr<Session> session;
    Loop& loop;
  };
  std::unordered_map<Session*, Entry> sessions_;
  bool stopping_ = false;  // in the first loop, and read under sessions_mutex_
  bool ended_ = false;     // no thread runs the loops any more

  // Destroyed before what is above: the handlers that they drop own the last sessions.
  std::vector<std::unique_ptr<Loop>> loops_;  // the first one also accepts and stops
  Session::Pools pools_;
  boost::asio::signal_set signals_;
  boost::asio::steady_timer drain_timer_;
  std::unique_ptr<Listener<boost::asio::ip::tcp>> tcp_;
  std::unique_ptr<Listener<boost::asio::local::stream_protocol>> local_;
  std::string socket_path_;
};

}  // namespace vs::daemon
