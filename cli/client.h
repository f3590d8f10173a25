// A blocking connection to vsd: one request and its reply, or many in flight.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "cli/settings.h"

namespace vs::cli {

// For one thread at a time.
class Client {
 public:
  // Connects within a few seconds and sends AUTH if a token file is set. Errors: kIoError (not reachable),
  // kUnauthorized (the token is refused), kBadArgument (the address or the token file is wrong).
  static Result<Client> connect(const Settings& settings);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // Sends requests, each ended by LF. Errors: kIoError (the connection is lost).
  Status send(std::string_view lines);
  // The next reply; its views are valid until the next call. If it is OK, it has a JSON object. Errors: kIoError,
  // kBadRequest (no reply of this protocol).
  Result<protocol::Reply> receive();
  // For a sender that must not wait: takes requests, each ended by LF, and sends them as far as the daemon reads now.
  // wait_for_reply() sends the rest. Errors: kIoError.
  Status post(std::string_view lines);
  // True when receive() would not wait, false at `deadline`, or earlier at a signal. Errors: kIoError.
  Result<bool> wait_for_reply(std::chrono::steady_clock::time_point deadline);
  // One request without its LF. REQUIRES: no other in flight. Verbs that a daemon answers at once have a few seconds for
  // it, others take as long as they take. The reply has a JSON object, unless its verb (PING, AUTH, DROP) needs none.
  Result<protocol::Reply> call(const std::string& request);

 private:
  struct Connection;
  struct Expectation;
  Result<protocol::Reply> receive(const Expectation& expected);
  explicit Client(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> connection_;
};

}  // namespace vs::cli
