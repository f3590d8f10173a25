// rebuild and compact: jobs that write a collection's index anew.
#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/job.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

struct RebuildOptions {
  std::string name;
  CreateOptions graph;
  bool no_wait = false;
};

Exit rebuild(Context& context, const std::string& request, const RebuildOptions& options, const std::string& doing) {
  if (options.no_wait) {
    const auto reply = context.call(request);
    if (!reply) return context.exit();
    context.print_fields(*reply);
    return Exit::kOk;
  }
  const Interrupt interrupt;
  Exit exit = Exit::kOk;
  const auto job = run_job(context, request, doing + " " + options.name, exit);
  if (!job) return exit;
  if (job->state == "failed") return context.fail(job_error(*job));
  if (job->state != "done") {
    context.note("cancelled on the server (job " + std::to_string(job->number) + "); the index is what it was");
    return Exit::kFailure;
  }
  ordered_json result = {{"collection", job->collection}, {"job", job->number}};
  for (const auto& [name, value] : job->result.items()) result[name] = value;
  context.print_fields(result.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  return Exit::kOk;
}

CLI::App* add_command(CLI::App& app, const char* name, const char* help, RebuildOptions& options) {
  CLI::App* command = app.add_subcommand(name, help);
  add_name(*command, options.name);
  command->add_flag("--no-wait", options.no_wait,
                    "Print the job's number and leave it to the daemon; see `vsctl jobs`");
  return command;
}

}  // namespace

void add_rebuild_commands(CLI::App& app, Context& context) {
  auto rebuilt = std::make_shared<RebuildOptions>();
  CLI::App* command =
      add_command(app, "rebuild", "Build a collection's index anew, with the same or other options", *rebuilt);
  command->add_option("--m", rebuilt->graph.m, "Links a layer, twice as many on layer 0 (default: as it is)")
      ->check(whole_number(limits::kMMin, limits::kMMax));
  command
      ->add_option("--ef-construction", rebuilt->graph.ef_construction, "Candidates on insertion (default: as it is)")
      ->check(whole_number(1, limits::kEfConstructionMax));
  command->add_option("--ml", rebuilt->graph.ml, "Level multiplier (default: as it is; with another --m 1/ln m)")
      ->check(finite_number(/*above_zero=*/true));
  command->add_option("--codes", rebuilt->graph.codes, "Compact codes: none, sq8 or pca (default: as it is)")
      ->check(CLI::IsMember({"none", "sq8", "pca"}));
  command->footer(
      "Reads and writes go on meanwhile. Waits for the daemon's job; Ctrl-C cancels it there, and nothing has "
      "changed.\n\n"
      "Examples:\n"
      "  vsctl rebuild fashion\n"
      "  vsctl rebuild fashion --m 32 --ef-construction 400\n"
      "  vsctl rebuild fashion --no-wait");
  set_action(*command, context, [&context, rebuilt] {
    return rebuild(context, "REBUILD " + rebuilt->name + rebuilt->graph.request_text(), *rebuilt, "rebuilding");
  });

  auto compacted = std::make_shared<RebuildOptions>();
  command = add_command(app, "compact", "Free the space of deleted and replaced points", *compacted);
  command->footer(
      "The daemon does this by itself when a quarter of a collection is deleted (see --compact-at-percent of vsd).\n"
      "Reads and writes go on meanwhile. Waits for the daemon's job; Ctrl-C cancels it there.\n\n"
      "Examples:\n"
      "  vsctl compact fashion");
  set_action(*command, context, [&context, compacted] {
    return rebuild(context, "COMPACT " + compacted->name, *compacted, "compacting");
  });
}

}  // namespace vs::cli
