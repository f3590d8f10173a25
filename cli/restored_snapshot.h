// Finding a snapshot, and a copy of it that a vsd of this program's own serves, for commands that look into it.
#pragma once

#include <optional>
#include <string>

#include "cli/commands.h"
#include "cli/private_daemon.h"

namespace vs::cli {

struct RestoreOptions {
  std::string snapshot;  // a tag of the daemon's, or a path with a slash
  std::string program;
  std::string scratch;
};
// --vsd and --scratch, which need `snapshot` where that is an option.
void add_restore_options(CLI::App& command, RestoreOptions& options, CLI::Option* snapshot = nullptr);

// The snapshot's directory, which is on this machine. Prints the error and returns nullopt with the exit code in `exit`.
std::optional<std::string> find_snapshot(Context& context, const RestoreOptions& options, Exit& exit);
// Says what is about to happen, and returns when the copy is served. Errors: those of PrivateDaemon::start().
Result<PrivateDaemon> restore_snapshot(const Context& context, const RestoreOptions& options,
                                       const std::string& directory);

// Those that the daemon has. Prints the error and returns nullopt with the exit code in context.exit().
std::optional<nlohmann::ordered_json> ask_for_snapshots(Context& context);

}  // namespace vs::cli
