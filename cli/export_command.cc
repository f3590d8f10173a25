#include <ctime>
#include <filesystem>

#include "cli/commands.h"
#include "cli/export_scan.h"
#include "cli/export_target.h"
#include "cli/interrupt.h"
#include "cli/restored_snapshot.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

constexpr int kFormatVersion = 1;

struct ExportOptions {
  std::string name;
  std::string path;
  std::string format;
  bool force = false;
  bool require_consistent = false;
  RestoreOptions restore;

  bool to_stdout() const { return path == "-"; }
};

// What was exported, for meta.json and for the user.
struct Exported {
  ordered_json meta;
  Consistency state;
  uint64_t count = 0;
  std::string remark;
};

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

ordered_json make_meta(const ExportOptions& options, const ordered_json& stats, const Consistency& state) {
  ordered_json meta = {{"format", "vsd-export"}, {"format_version", kFormatVersion}, {"name", options.name}};
  for (const char* field : {"dim", "metric", "m", "ef_construction", "ml", "ef_search", "seed", "codes"})
    if (stats.contains(field)) meta[field] = stats[field];
  meta["exported_at"] = utc_now();
  if (!options.restore.snapshot.empty()) meta["snapshot"] = options.restore.snapshot;
  meta["lsn"] = stats.value("lsn", ordered_json());
  meta["consistent"] = state.consistent;
  meta["changes"] = state.changes;
  if (!state.consistent)
    meta["note"] =
        "Points were written or deleted while the export ran: each point is whole, but not all are of the same moment.";
  return meta;
}

std::string why_not_consistent(const Consistency& state) {
  const std::string what = state.changes == 0   ? "writes were under way"
                           : state.changes == 1 ? "one point was written or deleted"
                                                : std::to_string(state.changes) + " points were written or deleted";
  return what + " while the export ran, so it is not consistent: not of one moment. ";
}

Status refused(const Consistency& state) {
  return {Code::kBusy,
          why_not_consistent(state) +
              "Repeat it when nothing writes, or make a snapshot (`vsctl snapshot create TAG`) and export " +
              "that with --snapshot TAG"};
}

// All of the collection through `exporter`. Prints errors.
Exit run_export(Context& daemon, const ExportOptions& options, const ExportInfo& info, Exporter& exporter,
                Exported& result) {
  if (const Exit exit = copy_points(daemon, info, exporter); exit != Exit::kOk) return exit;
  const auto after = daemon.call("STATS " + options.name);
  if (!after) return daemon.exit();
  result.state = judge_consistency(info.stats, parse_json(*after));
  result.meta = make_meta(options, info.stats, result.state);
  if (options.require_consistent && !result.state.consistent) return daemon.fail(refused(result.state));
  if (const Status status = exporter.finish(result.meta); !status.ok()) return daemon.fail(status);
  result.count = exporter.count();
  result.remark = exporter.remark();
  return Exit::kOk;
}

void report(Context& context, const ExportOptions& options, const Exported& result, bool is_file) {
  if (!result.state.consistent)
    context.note(why_not_consistent(result.state) + "Each point is whole. --snapshot TAG exports one moment");
  if (!result.remark.empty()) context.note(result.remark);
  const std::string done = "exported " + std::to_string(result.count) + " points";
  if (options.to_stdout()) return context.note(done);
  if (context.format() == Format::kTable) return context.print(done + " to " + options.path + "\n");
  const char* const place = is_file ? "file" : "directory";
  const bool consistent = result.state.consistent;
  Table table({{"collection"}, {place}, {"format"}, {"count"}, {"consistent"}, {"changes"}});
  table.add({options.name, options.path, options.format, std::to_string(result.count), consistent ? "true" : "false",
             std::to_string(result.state.changes)});
  const ordered_json json = {{"collection", options.name}, {place, options.path},
                             {"format", options.format},   {"count", result.count},
                             {"consistent", consistent},   {"changes", result.state.changes}};
  context.print(table, json.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

// From the daemon that `daemon` talks to; what is printed is for `context`.
Exit export_from(Context& daemon, Context& context, const ExportOptions& options) {
  const ExportFormat& format = *find_export_format(options.format);
  auto stats = settled_stats(daemon, options.name);
  if (!stats) return daemon.exit();
  const ExportInfo info{options.name, *std::move(stats)};
  Exported result;
  if (options.to_stdout()) {
    const auto exporter = make_stdout_exporter();
    const Exit exit = run_export(daemon, options, info, *exporter, result);
    if (exit == Exit::kOk) report(context, options, result, /*is_file=*/false);
    return exit;
  }
  auto target = ExportTarget::prepare(options.path, format, options.force);
  if (!target.ok()) return context.fail(target.status());
  const auto exporter = format.make(target->staging(), info);
  if (!exporter.ok()) return context.fail(exporter.status());
  if (const Exit exit = run_export(daemon, options, info, **exporter, result); exit != Exit::kOk) return exit;
  if (const Status status = target->publish(); !status.ok()) return context.fail(status);
  report(context, options, result, target->is_file());
  return Exit::kOk;
}

Exit export_collection(Context& context, const ExportOptions& options) {
  if (options.to_stdout() && options.format != "jsonl")
    return context.fail({Code::kBadArgument, "only the format jsonl can go to the standard output; name a directory"});
  if (options.restore.snapshot.empty()) {
    const Interrupt interrupt;
    return export_from(context, context, options);
  }
  Exit exit = Exit::kOk;
  const auto snapshot = find_snapshot(context, options.restore, exit);
  if (!snapshot) return exit;
  const Interrupt interrupt;
  const auto daemon = restore_snapshot(context, options.restore, *snapshot);
  if (!daemon.ok()) return context.fail(daemon.status());
  Context inside;
  inside.settings.socket = daemon->socket();
  return export_from(inside, context, options);
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const ExportFormat& format : export_formats()) names.emplace_back(format.name);
  return names;
}

}  // namespace

void add_export_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* command =
      app.add_subcommand("export", "Write a collection's points, and in some formats its graph, to files");
  add_name(*command, options->name);
  command
      ->add_option(
          "DIR", options->path,
          "The directory, made if it is not there; or a file that ends in .npz, .json or .jsonl; or - for stdout")
      ->required();
  command->add_option("--format", options->format, "numpy, npz, json, jsonl, fvecs or seed")
      ->required()
      ->check(CLI::IsMember(format_names()));
  command->add_flag("--force", options->force,
                    "Replace an earlier export, of any format, when the new one is complete");
  command->add_flag("--require-consistent", options->require_consistent,
                    "Fail, and keep nothing, if points were written or deleted meanwhile");
  auto* const snapshot =
      command
          ->add_option("--snapshot", options->restore.snapshot,
                       "Export from a snapshot, which is of one moment: a tag, or a path with a slash")
          ->type_name("TAG_OR_DIR");
  add_restore_options(*command, options->restore, snapshot);
  command->footer(
      "numpy: vectors.npy, ids.npy, attributes.jsonl, links_0.npy and up (row numbers, -1 for none), meta.json.\n"
      "npz:   points.npz with the same files, for numpy.load.\n"
      "json:  points.json, one document with the settings and all points.\n"
      "jsonl: points.jsonl, a point a line: {\"id\",\"attributes\",\"vector\"}.\n"
      "fvecs: vectors.fvecs, ids.npy, attributes.jsonl, meta.json.\n"
      "seed:  the folder that VectorSearch-with-HNSW loads, with its graph (l2 and cosine).\n\n"
      "Writes may go on. If any came meanwhile, the export is said to be not consistent. A point that was deleted\n"
      "meanwhile may be in it, and one that was replaced is in it as it was before or after. An export that fails or\n"
      "is stopped leaves nothing. --snapshot restores the snapshot with a vsd of its own, and needs no other for a "
      "path.\n\n"
      "Examples:\n"
      "  vsctl export fashion out --format numpy\n"
      "  vsctl export fashion fashion.npz --format npz --force\n"
      "  vsctl export fashion - --format jsonl | head -1\n"
      "  vsctl export fashion monday-fashion --format seed --snapshot monday");
  set_action(*command, context, [&context, options] { return export_collection(context, *options); });
}

}  // namespace vs::cli
