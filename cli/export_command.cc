#include <algorithm>
#include <ctime>
#include <filesystem>

#include "cli/commands.h"
#include "cli/export.h"
#include "cli/interrupt.h"
#include "cli/progress.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

constexpr int kFormatVersion = 1;

struct ExportOptions {
  std::string name;
  std::string directory;
  std::string format;
  bool force = false;
};

// Every file that one of the exporters writes. The first to go is the last that a NumPy export writes, which is its mark
// of completeness.
std::vector<std::string> exported_names() {
  std::vector<std::string> names = {"meta.json", "points.json", "vectors.npy", "ids.npy", "attributes.jsonl"};
  for (int layer = 0; layer <= limits::kLayerMax; ++layer) names.push_back("links_" + std::to_string(layer) + ".npy");
  return names;
}

// An earlier export of either kind, whole or unfinished.
Status remove_export(const std::filesystem::path& directory) {
  for (const std::string& name : exported_names())
    for (const std::string& file : {name, name + ".tmp"}) {
      std::error_code error;
      std::filesystem::remove(directory / file, error);
      if (error)
        return {Code::kIoError, "cannot remove the old " + (directory / file).string() + ": " + error.message()};
    }
  return {};
}

// Whether nothing lies there but what an export that was killed has left unfinished.
bool is_unused(const std::filesystem::path& directory, std::error_code& error) {
  const std::vector<std::string> names = exported_names();
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
    if (entry->path().extension() != ".tmp" ||
        std::find(names.begin(), names.end(), entry->path().stem().string()) == names.end())
      return false;
  return true;
}

Status prepare_directory(const ExportOptions& options) {
  std::error_code error;
  const std::filesystem::path path(options.directory);
  std::filesystem::create_directories(path, error);
  if (error || !std::filesystem::is_directory(path, error))
    return {Code::kIoError, "cannot make the directory " + options.directory +
                                (error ? ": " + error.message() : ": something else has this name")};
  const bool unused = is_unused(path, error);
  if (error) return {Code::kIoError, "cannot read the directory " + options.directory + ": " + error.message()};
  if (!unused && !options.force)
    return {Code::kExists, "the directory " + options.directory +
                               " is not empty; name another one, or say --force to write over an earlier export"};
  return remove_export(path);
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

ordered_json make_meta(const ExportOptions& options, const ordered_json& before, const ordered_json& after) {
  ordered_json meta = {{"format", "vsd-export"}, {"format_version", kFormatVersion}, {"name", options.name}};
  for (const char* field : {"dim", "metric", "m", "ef_construction", "ml", "ef_search", "seed", "codes"})
    if (before.contains(field)) meta[field] = before[field];
  const bool consistent = before.value("lsn", ordered_json()) == after.value("lsn", ordered_json());
  meta["exported_at"] = utc_now();
  meta["consistent"] = consistent;
  if (!consistent)
    meta["note"] = "Points were written while the export ran: each point is whole, but not all are of the same moment.";
  return meta;
}

// Scans the whole collection into `exporter`.
Exit copy_points(Context& context, const ExportOptions& options, const ordered_json& stats, Exporter& exporter) {
  constexpr const char* kPage = " limit=500 with=";
  const auto live = stats.find("live");
  Progress progress("exporting", "points",
                    live != stats.end() && live->is_number_unsigned() ? live->get<uint64_t>() : 0);
  for (ordered_json cursor;;) {
    std::string request = "SCAN " + options.name + kPage + exporter.with();
    if (!cursor.is_null()) request += " cursor=" + protocol::quote_word(cell_text(cursor, false));
    const auto reply = context.call(request);
    if (!reply) return context.exit();
    const auto page = parse_points(*reply, exporter.text());
    if (!page.ok()) return context.fail(page.status());
    if (const Status status = exporter.add(page->points); !status.ok()) return context.fail(status);
    progress.advance(page->points.size());
    if (Interrupt::requested()) return context.fail({Code::kShuttingDown, "stopped before the export was complete"});
    cursor = parse_json(page->rest).value("cursor", ordered_json());
    if (cursor.is_null()) return Exit::kOk;
  }
}

// Into a directory that is prepared.
Exit write_export(Context& context, const ExportOptions& options, const ordered_json& before) {
  const ExportInfo info{options.name, before};
  auto exporter = options.format == "json" ? make_json_exporter(options.directory, info)
                                           : make_numpy_exporter(options.directory, info);
  if (!exporter.ok()) return context.fail(exporter.status());
  if (const Exit exit = copy_points(context, options, before, **exporter); exit != Exit::kOk) return exit;
  const auto after_text = context.call("STATS " + options.name);
  if (!after_text) return context.exit();
  ordered_json meta = make_meta(options, before, parse_json(*after_text));
  if (const Status status = (*exporter)->finish(meta); !status.ok()) return context.fail(status);

  const uint64_t count = (*exporter)->count();
  const bool consistent = meta["consistent"].get<bool>();
  if (!consistent) context.note("points were written while the export ran; meta says \"consistent\": false");
  if (context.format() == Format::kTable) {
    context.print("exported " + std::to_string(count) + " points to " + options.directory + "\n");
    return Exit::kOk;
  }
  Table table({{"collection"}, {"directory"}, {"format"}, {"count"}, {"consistent"}});
  table.add({options.name, options.directory, options.format, std::to_string(count), consistent ? "true" : "false"});
  const ordered_json json = {{"collection", options.name},
                             {"directory", options.directory},
                             {"format", options.format},
                             {"count", count},
                             {"consistent", consistent}};
  context.print(table, json.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  return Exit::kOk;
}

Exit export_collection(Context& context, const ExportOptions& options) {
  const Interrupt interrupt;
  const auto before = context.call("STATS " + options.name);
  if (!before) return context.exit();
  if (const Status status = prepare_directory(options); !status.ok()) return context.fail(status);
  const Exit exit = write_export(context, options, parse_json(*before));
  if (exit == Exit::kOk) return exit;
  // A part of an export would only be in the way of the next one.
  const Status removed = remove_export(options.directory);
  if (!removed.ok()) context.note(removed.message());
  return exit;
}

}  // namespace

void add_export_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<ExportOptions>();
  CLI::App* command = app.add_subcommand("export", "Write a collection's points, and for NumPy its graph, to files");
  add_name(*command, options->name);
  command->add_option("DIR", options->directory, "The directory; made if it is not there")->required();
  command->add_option("--format", options->format, "numpy or json")
      ->required()
      ->check(CLI::IsMember({"numpy", "json"}));
  command->add_flag("--force", options->force, "Replace an earlier export in DIR, of either format");
  command->footer(
      "numpy: vectors.npy, ids.npy, attributes.jsonl, links_0.npy and up (row numbers, -1 for none), meta.json.\n"
      "json: points.json with the settings and all points.\n\n"
      "Examples:\n  vsctl export fashion out --format numpy\n  vsctl export fashion out --format json --force");
  set_action(*command, context, [&context, options] { return export_collection(context, *options); });
}

}  // namespace vs::cli
