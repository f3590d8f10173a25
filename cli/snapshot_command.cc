#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/job.h"
#include "cli/restored_snapshot.h"
#include "cli/verify.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

std::string dump(const ordered_json& json) { return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

std::string text_of(const ordered_json& object, const char* name) {
  return object.is_object() ? cell_text(object.value(name, ordered_json()), false) : "";
}

Exit create(Context& context, const std::string& tag) {
  const Interrupt interrupt;
  Exit exit = Exit::kOk;
  const auto job = run_job(context, "SNAPSHOT " + tag, "snapshot " + tag, exit);
  if (!job) return exit;
  if (job->state == "failed") return context.fail(job_error(*job));
  if (job->state != "done") {
    context.note("the snapshot '" + tag + "' was cancelled on the server (job " + std::to_string(job->number) + ")");
    return Exit::kFailure;
  }
  context.print_fields(dump(job->result));
  return Exit::kOk;
}

Exit list(Context& context) {
  const auto snapshots = ask_for_snapshots(context);
  if (!snapshots) return context.exit();
  constexpr const char* kColumns[] = {"tag", "time", "collections", "points", "bytes", "path", "error"};
  std::vector<Table::Column> columns;
  for (const std::string name : kColumns)
    columns.push_back({name, name == "collections" || name == "points" || name == "bytes"});
  Table table(columns);
  for (const ordered_json& snapshot : *snapshots) {
    std::vector<std::string> row;
    for (const std::string name : kColumns) {
      const ordered_json value = snapshot.value(name, ordered_json());
      row.push_back(value.is_array() ? std::to_string(value.size()) : cell_text(value, false));
    }
    table.add(std::move(row));
  }
  context.print(table, dump({{"snapshots", *snapshots}}));
  if (snapshots->empty() && context.format() == Format::kTable)
    context.note("no snapshots yet; make one with `vsctl snapshot create TAG`");
  return Exit::kOk;
}

Exit remove(Context& context, const std::string& tag, bool yes) {
  if (!yes) {
    if (!can_ask(context, "delete removes the snapshot '" + tag + "'")) return Exit::kUsage;
    if (!ask(context, "Delete the snapshot '" + tag + "'?")) return Exit::kFailure;
  }
  const auto reply = context.call("SNAPSHOT " + tag + " delete=true");
  if (!reply) return context.exit();
  context.print_fields(*reply);
  return Exit::kOk;
}

void print_verdict(Context& context, const ordered_json& verdict) {
  constexpr const char* kColumns[] = {"collection", "check", "points", "expected", "recall", "queried", "found"};
  std::vector<Table::Column> columns;
  for (const char* name : kColumns) columns.push_back({name, columns.size() > 1});
  Table table(columns);
  for (const ordered_json& collection : verdict["collections"]) {
    std::vector<std::string> row;
    for (const char* name : kColumns)
      row.push_back(cell_text(collection.value(name, ordered_json()), context.format() == Format::kTable));
    table.add(std::move(row));
  }
  context.print(table, dump(verdict));
  if (context.format() == Format::kJson) return;
  for (const ordered_json& problem : verdict["problems"]) {
    const std::string collection = text_of(problem, "collection");
    context.note((collection.empty() ? "" : collection + ": ") + text_of(problem, "kind") + ": " +
                 text_of(problem, "detail"));
  }
  context.note(text_of(verdict, "snapshot") +
               (verdict["clean"] == true ? " can be restored, and holds what its manifest says" : " is damaged"));
}

// Of a restored copy. Prints the error and returns nullopt with the exit code in `exit`.
std::optional<ordered_json> look_at_copy(Context& context, const RestoreOptions& options, const std::string& snapshot,
                                         Exit& exit) {
  const auto daemon = restore_snapshot(context, options, snapshot);
  if (daemon.status().code() == Code::kCorrupt) {
    return ordered_json{{"clean", false},
                        {"problems", {{{"kind", "refused"}, {"detail", daemon.status().message()}}}},
                        {"collections", ordered_json::array()}};
  }
  if (!daemon.ok()) {
    exit = context.fail(daemon.status());
    return std::nullopt;
  }
  const auto manifest = read_text_file(snapshot + "/manifest.json");
  if (!manifest.ok()) {
    exit = context.fail(manifest.status());
    return std::nullopt;
  }
  Context inside;
  inside.settings.socket = daemon->socket();
  return verify_restored(inside, parse_json(*manifest), exit);
}

Exit verify(Context& context, const RestoreOptions& options) {
  Exit exit = Exit::kOk;
  const auto snapshot = find_snapshot(context, options, exit);
  if (!snapshot) return exit;
  const Interrupt interrupt;
  const auto found = look_at_copy(context, options, *snapshot, exit);
  if (!found) return exit;
  ordered_json verdict = {{"snapshot", *snapshot}};
  verdict.update(*found);
  print_verdict(context, verdict);
  return verdict["clean"] == true ? Exit::kOk : Exit::kCorruption;
}

CLI::Option* add_tag(CLI::App& command, std::string& tag) {
  return command.add_option("TAG", tag, "The snapshot's name")->required()->check([](const std::string& text) {
    // The rule is the same as that of collections' names.
    return protocol::validate_collection_name(text).ok()
               ? std::string()
               : "a tag is 1 to 64 characters of A-Z a-z 0-9 _ . - and does not begin with a dot; got '" + text + "'";
  });
}

void add_create(CLI::App& parent, Context& context) {
  auto tag = std::make_shared<std::string>();
  CLI::App* command = parent.add_subcommand("create", "Make a snapshot of all collections, and wait for it");
  add_tag(*command, *tag);
  command->footer(
      "Writes and searches go on meanwhile; what was acknowledged before is in it. It lies in DATA_DIR/snapshots/TAG\n"
      "and shares its large files with the database until they change there, so copy it to another disk.\n"
      "Ctrl-C cancels it on the daemon.\n\n"
      "Example:\n  vsctl snapshot create monday");
  set_action(*command, context, [&context, tag] { return create(context, *tag); });
}

void add_delete(CLI::App& parent, Context& context) {
  struct Options {
    std::string tag;
    bool yes = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = parent.add_subcommand("delete", "Delete a snapshot");
  add_tag(*command, options->tag);
  command->add_flag("--yes,-y", options->yes, "Do not ask (needed where there is no terminal)");
  command->footer("Example:\n  vsctl snapshot delete monday --yes");
  set_action(*command, context, [&context, options] { return remove(context, options->tag, options->yes); });
}

void add_verify(CLI::App& parent, Context& context) {
  auto options = std::make_shared<RestoreOptions>();
  CLI::App* command = parent.add_subcommand("verify", "Restore a snapshot to a temporary place, check it and query it");
  command->add_option("TAG_OR_DIR", options->snapshot, "A tag of the daemon's, or a path with a slash")->required();
  add_restore_options(*command, *options);
  command->footer(
      "Starts a vsd of its own with --restore, which reads every byte; compares the collections with the manifest, "
      "runs\n"
      "CHECK deep=true on each, and asks for a sample of the points by their own vectors. A directory needs no "
      "daemon.\n"
      "The exit code is 5 if anything is wrong.\n\n"
      "Examples:\n  vsctl snapshot verify monday\n  vsctl snapshot verify /backup/monday --scratch /big/tmp");
  set_action(*command, context, [&context, options] { return verify(context, *options); });
}

}  // namespace

void add_snapshot_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("snapshot", "Make, list, verify and delete snapshots");
  command->require_subcommand(1);
  add_create(*command, context);
  CLI::App* listing = command->add_subcommand("list", "List the daemon's snapshots");
  listing->footer("Example:\n  vsctl snapshot list");
  set_action(*listing, context, [&context] { return list(context); });
  add_verify(*command, context);
  add_delete(*command, context);
  command->footer(
      "Examples:\n"
      "  vsctl snapshot create monday\n"
      "  vsctl snapshot verify monday\n"
      "  vsctl snapshot list");
}

}  // namespace vs::cli
