#include "cli/restored_snapshot.h"

#include <filesystem>

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

std::string text_of(const ordered_json& object, const char* name) {
  return object.is_object() ? cell_text(object.value(name, ordered_json()), false) : "";
}

// The directory of a tag, from the daemon. Prints the error and returns nullopt with the exit code in `exit`.
std::optional<std::string> directory_of(Context& context, const std::string& tag, Exit& exit) {
  const auto snapshots = ask_for_snapshots(context);
  if (!snapshots) {
    exit = context.exit();
    return std::nullopt;
  }
  for (const ordered_json& snapshot : *snapshots) {
    if (text_of(snapshot, "tag") == tag) return text_of(snapshot, "path");
  }
  exit =
      context.fail({Code::kNotFound, "there is no snapshot '" + tag + "'; `vsctl snapshot list` shows those that are " +
                                         "there. For a directory give a path with a slash, such as ./" + tag});
  return std::nullopt;
}

}  // namespace

void add_restore_options(CLI::App& command, RestoreOptions& options, CLI::Option* snapshot) {
  options.scratch = PrivateDaemon::default_scratch();
  CLI::Option* const program =
      command.add_option("--vsd", options.program, "The vsd that restores it (default: beside vsctl, else in PATH)")
          ->type_name("PATH");
  CLI::Option* const scratch = command
                                   .add_option("--scratch", options.scratch,
                                               "Where the copy of it is made; it takes about twice the snapshot's size")
                                   ->type_name("DIR")
                                   ->check(CLI::ExistingDirectory)
                                   ->capture_default_str();
  if (snapshot == nullptr) return;
  program->needs(snapshot);
  scratch->needs(snapshot);
}

std::optional<std::string> find_snapshot(Context& context, const RestoreOptions& options, Exit& exit) {
  std::string directory = options.snapshot;
  if (directory.find('/') == std::string::npos) {
    const auto found = directory_of(context, directory, exit);
    if (!found) return std::nullopt;
    directory = *found;
  }
  std::error_code error;
  if (std::filesystem::is_directory(directory, error)) return directory;
  exit =
      context.fail({Code::kNotFound, "there is no directory " + directory + " on this machine; a snapshot is looked " +
                                         "into on the machine where it lies"});
  return std::nullopt;
}

Result<PrivateDaemon> restore_snapshot(const Context& context, const RestoreOptions& options,
                                       const std::string& directory) {
  context.note("restoring a copy below " + options.scratch + " and building its graphs, which takes as long as they " +
               "took at first");
  return PrivateDaemon::start({.program = options.program, .scratch = options.scratch, .snapshot = directory});
}

std::optional<ordered_json> ask_for_snapshots(Context& context) {
  const auto reply = context.call("SNAPSHOT");
  if (!reply) return std::nullopt;
  const ordered_json json = parse_json(*reply);
  return json.is_object() ? json.value("snapshots", ordered_json::array()) : ordered_json::array();
}

}  // namespace vs::cli
