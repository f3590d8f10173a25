#include "cli/client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <vector>

namespace vs::cli {

namespace asio = boost::asio;
using Stream = asio::generic::stream_protocol;

struct Client::Connection {
  asio::io_context io;
  Stream::socket socket{io};
  std::string buffer;  // bytes that came in; [consumed, size) are not yet handed out
  size_t consumed = 0;
};

namespace {

constexpr std::chrono::seconds kConnectTimeout{5};
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

}  // namespace

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
    if (token->empty() || token->find_first_of("\r\n") != std::string::npos)
      return Status{Code::kBadArgument, "the token file " + settings.token_file + " must hold one line, the token"};
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
  if (error) return {Code::kIoError, "the connection was lost (" + error.message() + ")"};
  return {};
}

Result<protocol::Reply> Client::receive() {
  std::string& buffer = connection_->buffer;
  size_t searched = connection_->consumed;
  for (;;) {
    const size_t end = buffer.find('\n', searched);
    if (end != std::string::npos) {
      const std::string_view line(buffer.data() + connection_->consumed, end - connection_->consumed);
      connection_->consumed = end + 1;
      return protocol::parse_reply(line);
    }
    buffer.erase(0, std::exchange(connection_->consumed, 0));
    const size_t before = buffer.size();
    if (before > kReplyBytesMax)
      return Status{Code::kBadRequest, "expected a reply line of vsd, got " + std::to_string(before >> 20) +
                                           " MiB without an end; is another program at this address?"};
    searched = before;
    buffer.resize(before + kReadBytes);
    boost::system::error_code error;
    const size_t got = connection_->socket.read_some(asio::buffer(buffer.data() + before, kReadBytes), error);
    buffer.resize(before + got);
    if (error)
      return Status{Code::kIoError, error == asio::error::eof ? "the daemon closed the connection"
                                                              : "the connection was lost (" + error.message() + ")"};
  }
}

Result<protocol::Reply> Client::call(const std::string& request) {
  VS_RETURN_IF_ERROR(send(request + "\n"));
  return receive();
}

}  // namespace vs::cli
