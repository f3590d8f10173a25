#include "cli/client.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <vector>

#include "cli/json_cursor.h"

namespace vs::cli {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using Stream = asio::generic::stream_protocol;

struct Client::Connection {
  asio::io_context io;
  Stream::socket socket{io};
  std::string buffer;  // bytes that came in; [consumed, size) are not yet handed out
  size_t consumed = 0;
  std::string unsent;     // what post() took and the daemon did not read yet
  bool answered = false;  // the peer has answered something, so it is no port that only accepts

  // Waits for bytes and appends them to `buffer`, from which it removes what was handed out.
  Status read_some();
  // Sends of `unsent` what the peer takes now.
  Status send_some();
};

struct Client::Expectation {
  std::string_view verb;
  bool object = true;    // an OK reply has a JSON object
  bool at_once = false;  // not to be waited for longer than kReplyTimeout
};

namespace {

constexpr std::chrono::seconds kConnectTimeout{5};
constexpr std::chrono::seconds kReplyTimeout{5};
constexpr size_t kReadBytes = 64u << 10;
// Far above any reply of vsd; a peer that sends more without a line end is something else.
constexpr size_t kReplyBytesMax = 256u << 20;

Status unreachable(const Settings& settings, const std::string& why) {
  return {Code::kIoError, "no connection to " + settings.address() + " (" + why + ")"};
}

Result<std::vector<Stream::endpoint>> endpoints(asio::io_context& io, const Settings& settings) {
  std::vector<Stream::endpoint> out;
  if (!settings.socket.empty()) {
    // Beyond this the address would not fit the system's structure.
    constexpr size_t kSocketPathMax = 107;
    if (settings.socket.size() > kSocketPathMax)
      return Status{Code::kBadArgument, "a socket's path has at most 107 bytes; got " + settings.socket};
    out.emplace_back(asio::local::stream_protocol::endpoint(settings.socket));
    return out;
  }
  const std::string& server = settings.server;
  const size_t colon = server.rfind(':');
  std::string host = server.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (colon == std::string::npos || host.empty() || colon + 1 == server.size())
    return Status{Code::kBadArgument, "the server must be HOST:PORT such as 127.0.0.1:8700; got '" + server + "'"};
  boost::system::error_code error;
  asio::ip::tcp::resolver resolver(io);
  for (const auto& entry : resolver.resolve(host, server.substr(colon + 1), error)) out.emplace_back(entry.endpoint());
  if (error) return unreachable(settings, error.message());
  return out;
}

// False when the time is over.
bool wait_readable(int socket, Clock::time_point end) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    pollfd poll{socket, POLLIN, 0};
    const int ready = ::poll(&poll, 1, static_cast<int>(std::max<long long>(left.count(), 0)));
    // An error is the read's to report.
    if (ready > 0 || (ready < 0 && errno != EINTR)) return true;
    if (Clock::now() >= end) return false;
  }
}

// Whoever answers OK without the object that a command needs, or with text that is none, is no vsd; without this check
// the reply would pass for an empty one, and so for success.
Status check_object(const protocol::Reply& reply, bool needed) {
  if (!reply.status.ok() || (reply.json.empty() && !needed) || is_json_object(reply.json)) return {};
  constexpr size_t kShown = 80;
  return {Code::kBadRequest, "expected a reply of OK and a JSON object, got OK " +
                                 (reply.json.empty() ? "alone" : "and " + std::string(reply.json.substr(0, kShown))) +
                                 "; is that a vsd at the other end?"};
}

// A wait for a host that does not answer must end; so connecting is asynchronous, and only connecting.
boost::system::error_code connect_one(asio::io_context& io, Stream::socket& socket, const Stream::endpoint& endpoint) {
  boost::system::error_code result = asio::error::timed_out;
  socket.async_connect(endpoint, [&result](const boost::system::error_code& error) { result = error; });
  io.restart();
  io.run_for(kConnectTimeout);
  if (result == asio::error::timed_out) {
    boost::system::error_code ignored;
    socket.close(ignored);
    io.run();  // the handler refers to `result`
    result = asio::error::timed_out;
  }
  return result;
}

Status lost(const std::string& why) { return {Code::kIoError, "the connection was lost (" + why + ")"}; }

}  // namespace

Status Client::Connection::read_some() {
  buffer.erase(0, std::exchange(consumed, 0));
  const size_t before = buffer.size();
  if (before > kReplyBytesMax)
    return {Code::kBadRequest, "expected a reply line of vsd, got " + std::to_string(before >> 20) +
                                   " MiB without an end; is another program at this address?"};
  buffer.resize(before + kReadBytes);
  boost::system::error_code error;
  const size_t got = socket.read_some(asio::buffer(buffer.data() + before, kReadBytes), error);
  buffer.resize(before + got);
  if (error == asio::error::eof) return {Code::kIoError, "the daemon closed the connection"};
  return error ? lost(error.message()) : Status();
}

Status Client::Connection::send_some() {
  const ssize_t sent = ::send(socket.native_handle(), unsent.data(), unsent.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent >= 0) unsent.erase(0, static_cast<size_t>(sent));
  return sent >= 0 || errno == EAGAIN || errno == EINTR ? Status() : lost(std::strerror(errno));
}

Client::Client(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<Client> Client::connect(const Settings& settings) try {
  auto connection = std::make_unique<Connection>();
  VS_ASSIGN_OR_RETURN(const std::vector<Stream::endpoint> targets, endpoints(connection->io, settings));
  boost::system::error_code error = asio::error::host_not_found;
  for (const Stream::endpoint& target : targets) {
    boost::system::error_code ignored;
    connection->socket.close(ignored);
    error = connect_one(connection->io, connection->socket, target);
    if (!error) break;
  }
  if (error) return unreachable(settings, error.message());
  connection->socket.non_blocking(false);
  if (settings.socket.empty()) connection->socket.set_option(asio::ip::tcp::no_delay(true));

  Client client(std::move(connection));
  if (!settings.token_file.empty()) {
    auto token = read_text_file(settings.token_file);
    if (!token.ok()) return Status{Code::kBadArgument, token.status().message()};
    token->erase(token->find_last_not_of(" \t\r\n") + 1);
    if (token->empty())
      return Status{Code::kBadArgument,
                    "the token file " + settings.token_file + " is empty; it must hold one line, the token"};
    if (token->find_first_of("\r\n") != std::string::npos)
      return Status{Code::kBadArgument,
                    "the token file " + settings.token_file + " has several lines; it must hold one, the token"};
    VS_ASSIGN_OR_RETURN(const protocol::Reply reply, client.call("AUTH " + protocol::quote_word(*token)));
    if (!reply.status.ok()) return Status{Code::kUnauthorized, reply.status.message()};
  }
  return client;
} catch (const std::exception& error) {
  return unreachable(settings, error.what());
}

Status Client::send(std::string_view lines) {
  boost::system::error_code error;
  asio::write(connection_->socket, asio::buffer(lines.data(), lines.size()), error);
  return error ? lost(error.message()) : Status();
}

Status Client::post(std::string_view lines) {
  connection_->unsent += lines;
  return connection_->send_some();
}

Result<bool> Client::wait_for_reply(Clock::time_point deadline) {
  Connection& connection = *connection_;
  for (size_t searched = 0;;) {
    if (connection.buffer.find('\n', connection.consumed + searched) != std::string::npos) return true;
    searched = connection.buffer.size() - connection.consumed;
    const auto left = std::max(std::chrono::nanoseconds(deadline - Clock::now()), std::chrono::nanoseconds(0));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
    const timespec timeout{seconds.count(), (left - seconds).count()};
    const int events = connection.unsent.empty() ? POLLIN : POLLIN | POLLOUT;
    pollfd poll{connection.socket.native_handle(), static_cast<short>(events), 0};
    const int ready = ::ppoll(&poll, 1, &timeout, nullptr);
    if (ready == 0 || (ready < 0 && errno == EINTR)) return false;
    if ((poll.revents & POLLOUT) != 0) VS_RETURN_IF_ERROR(connection.send_some());
    // An error is the read's to report.
    if ((poll.revents & ~POLLOUT) != 0 || ready < 0) VS_RETURN_IF_ERROR(connection.read_some());
  }
}

Result<protocol::Reply> Client::receive() { return receive(Expectation{}); }

Result<protocol::Reply> Client::receive(const Expectation& expected) {
  const auto deadline = Clock::now() + kReplyTimeout;
  const std::string& buffer = connection_->buffer;
  for (size_t searched = 0;;) {  // bytes of the unfinished line
    const size_t end = buffer.find('\n', connection_->consumed + searched);
    if (end != std::string::npos) {
      const std::string_view line(buffer.data() + connection_->consumed, end - connection_->consumed);
      connection_->consumed = end + 1;
      VS_ASSIGN_OR_RETURN(protocol::Reply reply, protocol::parse_reply(line));
      VS_RETURN_IF_ERROR(check_object(reply, expected.object));
      connection_->answered = true;
      return reply;
    }
    searched = buffer.size() - connection_->consumed;
    if (expected.at_once && !wait_readable(connection_->socket.native_handle(), deadline))
      return Status{Code::kIoError, "no answer to " + std::string(expected.verb) + " within " +
                                        std::to_string(kReplyTimeout.count()) + " s"};
    VS_RETURN_IF_ERROR(connection_->read_some());
  }
}

Result<protocol::Reply> Client::call(const std::string& request) {
  constexpr std::array kKnown = {Expectation{"PING", false, true}, Expectation{"AUTH", false, true},
                                 Expectation{"INFO", true, true},  Expectation{"LIST", true, true},
                                 Expectation{"STATS", true, true}, Expectation{"JOBS", true, true},
                                 Expectation{"HELP", true, true},  Expectation{"DROP", false, false}};
  Expectation expected{std::string_view(request).substr(0, request.find(' '))};
  for (const Expectation& known : kKnown)
    if (known.verb == expected.verb) expected = known;
  if (!expected.at_once && !connection_->answered) {
    // A request that may take long would wait for ever for a peer that never answers.
    VS_ASSIGN_OR_RETURN(const protocol::Reply pong, call("PING"));
    if (!pong.status.ok()) return pong;
  }
  VS_RETURN_IF_ERROR(send(request + "\n"));
  return receive(expected);
}

}  // namespace vs::cli
