// Where the daemon is and how to print: from flags, environment and configuration file, in this order of precedence.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/protocol.h"

namespace vs::cli {

enum class Format { kTable, kJson, kCsv };

// One source of settings; what it does not say is left to the next one.
struct Layer {
  std::optional<std::string> server;
  std::optional<std::string> socket;
  std::optional<std::string> token_file;
  std::optional<std::string> output;
};

struct Settings {
  std::string server = "127.0.0.1:8700";
  std::string socket;  // a path; if set, it is used instead of `server`
  std::string token_file;
  Format output = Format::kTable;

  // "127.0.0.1:8700" or the socket's path, for messages.
  const std::string& address() const { return socket.empty() ? server : socket; }
};

using Environment = std::function<std::optional<std::string>(std::string_view name)>;
// The process's own.
std::optional<std::string> process_environment(std::string_view name);

// `key = value` lines with the keys server, socket, token-file and output; # begins a comment line. `path` is for
// messages. Errors: kBadArgument.
Result<Layer> parse_settings_file(std::string_view text, const std::string& path);

// Reads VSCTL_… and the configuration file (VSCTL_CONFIG, which must exist, else ~/.config/vsctl.conf, which may not).
// Errors: kBadArgument.
Result<Settings> resolve_settings(const Layer& flags, const Environment& environment);

// The whole file. Errors: kIoError.
Result<std::string> read_text_file(const std::string& path);

}  // namespace vs::cli
