// The table of verbs, and what is checked before a handler runs.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/protocol.h"
#include "daemon/service.h"
#include "storage/collection.h"

namespace vs::daemon {

// What a verb may know and change about the client that sent it.
struct Client {
  bool local = false;       // on the Unix socket
  bool authorized = false;  // needs no AUTH (any more)
  bool closing = false;     // set: the connection is closed after this reply
  bool penalty = false;     // set: this reply is held back for a while
};

struct Call {
  Service& service;
  Client& client;
  const protocol::Request& request;

  const protocol::Value* option(std::string_view name) const;
  // Sets `flag` if that option is given. Errors: kBadArgument.
  Status read_flag(std::string_view name, bool& flag) const;
  // Argument `index` as the name of a collection, and that collection.
  Result<std::shared_ptr<storage::Collection>> collection(size_t index = 0) const;
};

// Appends the reply's JSON object, if it has one, to `json`.
using Handler = Status (*)(const Call& call, std::string& json);
// Gets the result and the JSON object of a reply, exactly once and from any thread.
using Done = std::function<void(Status status, std::string json)>;
// Returns an error, or ok and calls `done`.
using Starter = Status (*)(const Call& call, Done done);

struct Command {
  std::string_view verb;
  std::string_view usage;
  std::string_view help;
  size_t arguments_min;
  size_t arguments_max;
  std::vector<std::string_view> options;
  // One of the three. `run` is answered where it was read, unless `heavy` says that this request takes milliseconds: then
  // beside the threads that serve clients. There `slow` is run, too, which waits for the disk, one at a time. `start`
  // returns at once, and the session goes on to the next request while it is under way.
  Handler run = nullptr;
  bool (*heavy)(const Call& call) = nullptr;
  Handler slow = nullptr;
  Starter start = nullptr;
  bool open = false;  // answered before AUTH and while shutting down
};

std::span<const Command> commands();

// Nullptr for a verb that is none. `verb` in upper case.
const Command* find_command(std::string_view verb);

// The command for a request, if this client may have it now and its arguments and options are such as it takes.
Result<const Command*> admit(const Service& service, const Client& client, const protocol::Request& request);

// "OK", "OK {…}" or "ERR …" with LF.
void append_reply(std::string& out, const Status& status, std::string_view json);

}  // namespace vs::daemon
