#include <algorithm>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/import.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

constexpr size_t kRejectedShown = 20;

struct ImportOptions {
  std::string name;
  ImportFiles files;
  CreateOptions create;
  unsigned connections = 2;
};

// Text of a number or word in a reply, to compare with what was given.
bool same_setting(const ordered_json& have, const std::string& given) {
  if (!have.is_number()) return cell_text(have, false) == given;
  const auto number = protocol::read_number({protocol::Value::Kind::kBare, given}, "setting");
  return number.ok() && have.get<double>() == *number;
}

Status other_setting(const std::string& collection, const std::string& setting, const std::string& have,
                     const std::string& given) {
  return {Code::kExists, "'" + collection + "' exists with " + setting + " " + have + ", not " + given +
                             "; leave the option out or import into another collection"};
}

// Makes the collection if it is not there and settings for one were given; checks an existing one. Returns true if it
// was made, nullopt after an error (with the exit code in `exit`).
std::optional<bool> prepare_collection(Context& context, const ImportOptions& options, const ImportSource& source,
                                       Exit& exit) {
  const auto given = options.create.given();
  const auto stats = context.try_call("STATS " + options.name);
  if (!stats) {
    exit = context.exit();
    return std::nullopt;
  }
  const auto failed = [&](const Status& status) {
    exit = context.fail(status);
    return std::nullopt;
  };
  const std::string dim_text = std::to_string(source.columns());
  if (stats->ok()) {
    const ordered_json json = parse_json(**stats);
    const auto have = [&](const std::string& name) {
      return json.is_object() ? json.value(name, ordered_json()) : json;
    };
    if (!same_setting(have("dim"), dim_text))
      return failed({Code::kDimensionMismatch, "'" + options.name + "' has vectors of " +
                                                   cell_text(have("dim"), false) + " numbers, the file's have " +
                                                   dim_text + "; import into another collection"});
    for (const auto& [name, value] : given)
      if (!same_setting(have(name), value))
        return failed(other_setting(options.name, name, cell_text(have(name), false), value));
    return false;
  }
  if (stats->status().code() != Code::kNotFound) return failed(stats->status());
  if (given.empty() && source.settings.empty())
    return failed({Code::kNotFound, "there is no collection '" + options.name + "'; say how to make it, for example " +
                                        "with --metric l2, or first run `vsctl create " + options.name + " --dim " +
                                        dim_text + "`"});
  if (!context.call("CREATE " + options.name + " dim=" + dim_text + options.create.request_text(source.settings))) {
    exit = context.exit();
    return std::nullopt;
  }
  return true;
}

void print_result(Context& context, const ImportOptions& options, const ImportResult& result, bool created) {
  const double rate = result.seconds > 0 ? static_cast<double>(result.acknowledged) / result.seconds : 0;
  if (context.format() == Format::kTable) {
    std::string text = std::to_string(result.acknowledged) + " rows in " + fixed(result.seconds, 2) + " s, " +
                       fixed(rate, 0) + " rows/s";
    if (result.replaced > 0) text += ", " + std::to_string(result.replaced) + " replaced";
    if (result.rejected_total > 0) text += ", " + std::to_string(result.rejected_total) + " rejected";
    if (!result.complete()) text += ", stopped";
    return context.print(text + "\n");
  }
  Table table({{"rows"}, {"replaced"}, {"rejected"}, {"seconds"}, {"rows_per_s"}, {"stopped"}});
  table.add({std::to_string(result.acknowledged), std::to_string(result.replaced),
             std::to_string(result.rejected_total), fixed(result.seconds, 3), fixed(rate, 1),
             result.complete() ? "false" : "true"});
  ordered_json rejected = ordered_json::array();
  for (const RejectedRow& row : result.rejected)
    rejected.push_back(
        {{"row", row.row}, {"id", row.id}, {"code", code_name(row.status.code())}, {"reason", row.status.message()}});
  const ordered_json json = {{"collection", options.name},          {"created", created},
                             {"rows", result.acknowledged},         {"replaced", result.replaced},
                             {"seconds", result.seconds},           {"rows_per_s", rate},
                             {"stopped", !result.complete()},       {"rejected", result.rejected_total},
                             {"rejected_rows", std::move(rejected)}};
  context.print(table, json.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

void note_rejected(const Context& context, const ImportResult& result) {
  const size_t shown = std::min(result.rejected.size(), kRejectedShown);
  for (size_t i = 0; i < shown; ++i) {
    const RejectedRow& row = result.rejected[i];
    context.note("row " + std::to_string(row.row) + " (id '" + row.id + "') was rejected: " + row.status.message());
  }
  if (result.rejected_total > shown)
    context.note("and " + std::to_string(result.rejected_total - shown) + " rows more" +
                 (context.format() == Format::kJson ? "" : "; --output json lists all"));
}

Exit import_files(Context& context, const ImportOptions& options) {
  const auto source = ImportSource::open(options.files);
  if (!source.ok()) return context.fail(source.status());
  Exit exit = Exit::kOk;
  const auto created = prepare_collection(context, options, *source, exit);
  if (!created) return exit;
  // Only JSON lists all of them; elsewhere more than a screen would help nobody.
  const size_t listed = context.format() == Format::kJson ? SIZE_MAX : kRejectedShown;
  const ImportResult result = import_rows(context.settings, options.name, *source, options.connections, listed);
  note_rejected(context, result);
  if (result.rejected_total > 0 || result.interrupted) exit = Exit::kPartly;
  if (!result.stopped.ok()) exit = result.lost ? context.fail_connection(result.stopped) : context.fail(result.stopped);
  if (!result.complete())
    context.note("the import stopped" + std::string(result.stopped.ok() ? ", as it was told to" : "") + ": " +
                 std::to_string(result.acknowledged) + " of " + std::to_string(source->rows()) +
                 " rows are acknowledged; run it again to send all rows once more");
  print_result(context, options, result, *created);
  return exit;
}

}  // namespace

void add_import_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* command =
      app.add_subcommand("import", "Add the rows of IDX, NPY or NPZ files, or of a folder of VectorSearch-with-HNSW");
  add_name(*command, options->name);
  ImportFiles& files = options->files;
  const auto* vectors =
      command->add_option("FILE", files.vectors, "The files; their rows are counted on from one to the next")
          ->required();
  command->add_option("--format", files.format, "idx, npy, npz or seed (default: seen from the content)")
      ->check(CLI::IsMember({"guess", "idx", "npy", "npz", "seed"}));
  auto* labels =
      command->add_option("--labels", files.labels, "IDX or NPY file of integers; they become the attribute \"label\"");
  // One file each time, so that a FILE may follow.
  labels->allow_extra_args(false);
  command->add_option("--attributes", files.attributes, "File with one JSON object a line, such as an export's")
      ->excludes(labels);
  command->add_option("--ids", files.ids,
                      "File with one id a line, or an NPY file of strings (default: the rows' numbers, from 0)");
  command->add_option("--id-prefix", files.id_prefix, "Put before every id");
  add_scale(*command, files.scale);
  command->add_option("--connections", options->connections, "Connections to send over")
      ->check(whole_number(1, 64))
      ->capture_default_str();
  add_create_options(*command, options->create);
  command->footer(
      "A collection that is not there is created if one of --metric, --m, --ef-construction, --ml, --ef-search,\n"
      "--seed or --codes is given, or if the files say how. Give --labels once for each file, or once for all. A row\n"
      "that the daemon rejects is listed, and the exit code is then 6. Ctrl-C stops the import: what was sent is\n"
      "waited for, and the exit code is 6, too.\n\n"
      "npz:  the array `vectors`, or the only one of two dimensions; `ids` and `labels` in it are used, too. One of\n"
      "      an export brings attributes and settings.\n"
      "seed: a folder of VectorSearch-with-HNSW: its vectors without tombstones, under the numbers of their rows, and\n"
      "      its settings. The graph is built anew.\n\n"
      "Examples:\n"
      "  vsctl import fashion train-images-idx3-ubyte.gz --labels train-labels-idx1-ubyte.gz --scale 1/255 --metric "
      "l2\n"
      "  vsctl import words vectors.npy --ids words.txt --metric cosine\n"
      "  vsctl import copy fashion.npz\n"
      "  vsctl import old saved-folder --format seed\n"
      "  vsctl import copy out/vectors.npy --ids out/ids.npy --attributes out/attributes.jsonl --metric l2");
  set_action(*command, context, [&context, options, vectors] {
    options->files.vectors = vectors->results();  // CLI11 2.4 takes the one file {} for an empty list
    return import_files(context, *options);
  });
}

}  // namespace vs::cli
