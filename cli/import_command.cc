#include <algorithm>
#include <sstream>

#include "cli/commands.h"
#include "cli/import.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

struct ImportOptions {
  std::string name;
  std::vector<std::string> files;
  std::string format = "guess";
  std::vector<std::string> labels;
  std::string ids;
  std::string id_prefix;
  std::string scale = "1";
  CreateOptions create;
  unsigned connections = 2;
};

Status read_labels(const ImportOptions& options, ImportSource& source) {
  for (const std::string& path : options.labels) {
    VS_ASSIGN_OR_RETURN(const Array labels, Array::open(path));
    if (labels.shape().size() != 1 || !labels.integers())
      return {Code::kBadRequest, path + ": expected labels, one integer a row"};
    VS_ASSIGN_OR_RETURN(const std::vector<int64_t> values, labels.all_integers());
    source.labels.insert(source.labels.end(), values.begin(), values.end());
  }
  if (!options.labels.empty() && source.labels.size() != source.rows())
    return {Code::kBadRequest, "expected as many labels as rows, " + std::to_string(source.rows()) + "; got " +
                                   std::to_string(source.labels.size()) + "; give the label files of the same data"};
  return {};
}

Status read_ids(const std::string& path, ImportSource& source) {
  VS_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (const Status status = protocol::validate_id(source.id_prefix + line); !status.ok())
      return {Code::kBadRequest, path + " line " + std::to_string(source.ids.size() + 1) + ": " + status.message()};
    source.ids.push_back(line);
  }
  if (source.ids.size() != source.rows())
    return {Code::kBadRequest, "expected as many ids as rows, " + std::to_string(source.rows()) + "; " + path +
                                   " has " + std::to_string(source.ids.size()) + " lines"};
  return {};
}

Result<ImportSource> open_source(const ImportOptions& options) {
  ImportSource source;
  const ArrayFormat format = options.format == "idx"   ? ArrayFormat::kIdx
                             : options.format == "npy" ? ArrayFormat::kNpy
                                                       : ArrayFormat::kGuess;
  VS_ASSIGN_OR_RETURN(source.scale, parse_scale(options.scale));
  source.id_prefix = options.id_prefix;
  for (const std::string& path : options.files) {
    VS_ASSIGN_OR_RETURN(Array file, Array::open(path, format));
    if (file.columns() == 0 || file.columns() > limits::kDimMax)
      return Status{Code::kBadRequest, path + ": expected rows of 1 to " + std::to_string(limits::kDimMax) +
                                           " numbers; got " + std::to_string(file.columns())};
    if (!source.files.empty() && file.columns() != source.columns())
      return Status{Code::kBadRequest, path + ": expected rows of " + std::to_string(source.columns()) +
                                           " numbers as in " + source.files.front().path() + "; got " +
                                           std::to_string(file.columns())};
    source.files.push_back(std::move(file));
  }
  VS_RETURN_IF_ERROR(read_labels(options, source));
  if (!options.ids.empty()) VS_RETURN_IF_ERROR(read_ids(options.ids, source));
  return source;
}

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
std::optional<bool> prepare_collection(Context& context, const ImportOptions& options, uint64_t dim, Exit& exit) {
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
  const std::string dim_text = std::to_string(dim);
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
  if (given.empty())
    return failed({Code::kNotFound, "there is no collection '" + options.name + "'; say how to make it, for example " +
                                        "with --metric l2, or first run `vsctl create " + options.name + " --dim " +
                                        dim_text + "`"});
  if (!context.call("CREATE " + options.name + " dim=" + dim_text + options.create.request_text())) {
    exit = context.exit();
    return std::nullopt;
  }
  return true;
}

void print_result(Context& context, const ImportOptions& options, const ImportResult& result, bool created) {
  const double rate = result.seconds > 0 ? static_cast<double>(result.acknowledged) / result.seconds : 0;
  if (context.format() == Format::kTable) {
    context.print(std::to_string(result.acknowledged) + " rows in " + fixed(result.seconds, 2) + " s, " +
                  fixed(rate, 0) + " rows/s" +
                  (result.rejected_total > 0 ? ", " + std::to_string(result.rejected_total) + " rejected" : "") + "\n");
    return;
  }
  Table table({{"rows"}, {"rejected"}, {"seconds"}, {"rows_per_s"}});
  table.add({std::to_string(result.acknowledged), std::to_string(result.rejected_total), fixed(result.seconds, 3),
             fixed(rate, 1)});
  ordered_json rejected = ordered_json::array();
  for (const RejectedRow& row : result.rejected)
    rejected.push_back(
        {{"row", row.row}, {"id", row.id}, {"code", code_name(row.status.code())}, {"reason", row.status.message()}});
  const ordered_json json = {{"collection", options.name},          {"created", created},
                             {"rows", result.acknowledged},         {"rejected", result.rejected_total},
                             {"seconds", result.seconds},           {"rows_per_s", rate},
                             {"rejected_rows", std::move(rejected)}};
  context.print(table, json.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

Exit import_files(Context& context, const ImportOptions& options) {
  const auto source = open_source(options);
  if (!source.ok()) return context.fail(source.status());
  Exit exit = Exit::kOk;
  const auto created = prepare_collection(context, options, source->columns(), exit);
  if (!created) return exit;
  const ImportResult result = import_rows(context.settings, options.name, *source, options.connections);
  for (const RejectedRow& row : result.rejected)
    context.note("row " + std::to_string(row.row) + " (id '" + row.id + "') was rejected: " + row.status.message());
  if (result.rejected_total > result.rejected.size())
    context.note("and " + std::to_string(result.rejected_total - result.rejected.size()) + " rows more");
  if (!result.stopped.ok()) {
    const Exit code = result.lost ? context.fail_connection(result.stopped) : context.fail(result.stopped);
    context.note("the import stopped: " + std::to_string(result.acknowledged) + " of " +
                 std::to_string(source->rows()) + " rows are acknowledged; run it again to send all rows once more");
    return code;
  }
  print_result(context, options, result, *created);
  return result.rejected_total > 0 ? Exit::kPartly : Exit::kOk;
}

}  // namespace

void add_import_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* command = app.add_subcommand("import", "Add the rows of IDX or NPY files, plain or gzip");
  add_name(*command, options->name);
  command->add_option("FILE", options->files, "The files; their rows are counted on from one to the next")->required();
  command->add_option("--format", options->format, "idx or npy (default: seen from the content)")
      ->check(CLI::IsMember({"guess", "idx", "npy"}));
  command->add_option("--labels", options->labels, "IDX or NPY file of integers; they become the attribute \"label\"")
      ->allow_extra_args(false);
  command->add_option("--ids", options->ids, "File with one id a line (default: the rows' numbers, from 0)");
  command->add_option("--id-prefix", options->id_prefix, "Put before every id");
  add_scale(*command, options->scale);
  command->add_option("--connections", options->connections, "Connections to send over")
      ->check(CLI::Range(1u, 64u))
      ->capture_default_str();
  add_create_options(*command, options->create);
  command->footer(
      "A collection that is not there is created if one of --metric, --m, --ef-construction, --ml, --ef-search or\n"
      "--seed is given. Give --labels once for each file, or once for all. A row that the daemon rejects is listed,\n"
      "and the exit code is then 6.\n\n"
      "Examples:\n"
      "  vsctl import fashion train-images-idx3-ubyte.gz --labels train-labels-idx1-ubyte.gz --scale 1/255 --metric "
      "l2\n"
      "  vsctl import words vectors.npy --ids words.txt --metric cosine");
  set_action(*command, context, [&context, options] { return import_files(context, *options); });
}

}  // namespace vs::cli
