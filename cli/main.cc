// vsctl: the admin tool of vsd.
#include <csignal>
#include <cstdio>
#include <iostream>

#include "cli/arguments.h"
#include "cli/commands.h"

namespace {

using vs::cli::Context;
using vs::cli::Exit;

void add_global_options(CLI::App& app, vs::cli::Layer& flags) {
  auto* server = app.add_option("--server", flags.server, "The daemon's HOST:PORT (default 127.0.0.1:8700)");
  app.add_option("--socket", flags.socket, "The daemon's Unix socket, instead of --server")->excludes(server);
  app.add_option("--token-file", flags.token_file, "File that holds the access token");
  app.add_option("--output", flags.output, "table, json or csv (default table)")
      ->check(CLI::IsMember({"table", "json", "csv"}));
  app.set_version_flag("--version", std::string("vsctl ") + VS_VERSION);
  app.footer(
      "The four options above may stand before or after the command. They may also come from the environment\n"
      "(VSCTL_SERVER, VSCTL_SOCKET, VSCTL_TOKEN_FILE, VSCTL_OUTPUT) or from lines `key = value` in VSCTL_CONFIG or\n"
      "~/.config/vsctl.conf.\n\n"
      "Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 unreachable, 5 corruption found, 6 partly done.\n\n"
      "Example:\n"
      "  vsctl import fashion train-images-idx3-ubyte.gz --labels train-labels-idx1-ubyte.gz --scale 1/255 --metric "
      "l2\n"
      "  vsctl query fashion --file t10k-images-idx3-ubyte.gz --row 0 --scale 1/255 --picture neighbours.png");
}

// The messages of CLI11, in this program's form.
std::string usage_message(const CLI::App* app, const CLI::Error& error) {
  if (app->get_subcommands().empty() && !app->remaining().empty())
    return "vsctl: there is no command '" + vs::cli::reveal_brackets_in(app->remaining().front()) +
           "'; see `vsctl --help`\n";
  std::string command = "vsctl";
  for (const CLI::App* chosen : app->get_subcommands()) command += " " + chosen->get_name();
  return "vsctl: " + vs::cli::reveal_brackets_in(error.what()) + "; see `" + command + " --help`\n";
}

Exit run(int argc, char** argv) {
  Context context;
  vs::cli::Layer flags;
  CLI::App app("vsctl talks to vsd, the vector database daemon.", "vsctl");
  app.fallthrough();
  app.require_subcommand(1);
  app.failure_message(usage_message);
  app.get_formatter()->column_width(34);
  add_global_options(app, flags);
  vs::cli::add_collection_commands(app, context);
  vs::cli::add_import_command(app, context);
  vs::cli::add_query_command(app, context);
  vs::cli::add_why_not_command(app, context);
  vs::cli::add_point_commands(app, context);
  vs::cli::add_eval_command(app, context);
  vs::cli::add_bench_command(app, context);
  vs::cli::add_tune_command(app, context);
  vs::cli::add_export_command(app, context);
  vs::cli::add_rebuild_commands(app, context);
  vs::cli::add_check_command(app, context);
  vs::cli::add_jobs_command(app, context);
  vs::cli::add_snapshot_command(app, context);
  try {
    vs::cli::reveal_brackets(app);
    app.parse(vs::cli::hide_brackets(argc, argv));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? Exit::kOk : Exit::kUsage;
  }
  auto settings = vs::cli::resolve_settings(flags, vs::cli::process_environment);
  if (!settings.ok()) return context.fail(settings.status());
  context.settings = *std::move(settings);
  return context.action();
}

}  // namespace

int main(int argc, char** argv) {
  // A reader such as `head` that has seen enough ends the program quietly, whatever was inherited.
  std::signal(SIGPIPE, SIG_DFL);
  Exit exit = Exit::kFailure;
  try {
    exit = run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::fputs("vsctl: not enough memory; try smaller files or fewer connections\n", stderr);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "vsctl: internal error: %s\n", error.what());
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    std::fputs("vsctl: cannot write to the standard output; is the disk full?\n", stderr);
    if (exit == Exit::kOk) exit = Exit::kFailure;
  }
  return static_cast<int>(exit);
}
