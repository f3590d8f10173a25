// Listeners, threads and the end: accepts clients, gives each a session, and lets them finish when it is told to stop.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "daemon/config.h"
#include "daemon/service.h"
#include "index/status.h"

namespace vs::daemon {

class Session;

class Server {
 public:
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
  template <class Protocol>
  struct Listener;

  template <class Protocol>
  Status bind(Listener<Protocol>& listener, const typename Protocol::endpoint& endpoint, const std::string& name);
  Status listen_local(const std::string& path);
  template <class Protocol>
  void accept(Listener<Protocol>& listener);
  void welcome(boost::asio::generic::stream_protocol::socket socket, bool local);
  void begin_stop(const std::string& reason);
  void session_ended(Session* session);

  Service& service_;
  const size_t clients_max_;
  std::mutex sessions_mutex_;
  std::unordered_map<Session*, std::weak_ptr<Session>> sessions_;
  bool stopping_ = false;  // on the strand, and read under sessions_mutex_

  // Destroyed before what is above: the handlers that it drops own the last sessions.
  boost::asio::io_context io_;
  boost::asio::strand<boost::asio::io_context::executor_type> strand_;  // accepting and stopping
  boost::asio::thread_pool slow_{1};
  boost::asio::signal_set signals_;
  boost::asio::steady_timer drain_timer_;
  std::unique_ptr<Listener<boost::asio::ip::tcp>> tcp_;
  std::unique_ptr<Listener<boost::asio::local::stream_protocol>> local_;
  std::string socket_path_;
};

}  // namespace vs::daemon
