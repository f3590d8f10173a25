#include <algorithm>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/import.h"
#include "cli/import_formats.h"
#include "cli/import_resume.h"
#include "cli/progress.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

constexpr size_t kRejectedShown = 20;

constexpr const char* kFooter =
    "A collection that is not there is created if one of --metric, --m, --ef-construction, --ml, --ef-search,\n"
    "--seed or --codes is given, or if the files say how. Give --labels once for each file, or once for all.\n\n"
    "jsonl: {\"id\":\"a\",\"vector\":[0.1,0.2],\"attributes\":{}} a line, vector also \"f32:BASE64\". csv: columns of\n"
    "numbers are the vector; id, label, attributes (JSON) and vector are known by their names; others become\n"
    "attributes. npz: the array vectors, or the only one of two dimensions, with ids and labels; one of an export "
    "brings\n"
    "attributes and settings. seed: a folder of VectorSearch-with-HNSW, its vectors without tombstones under the "
    "numbers of\n"
    "their rows, and its settings; the graph is built anew. Both are imported alone. Text is read as it comes; the "
    "other\n"
    "formats, from a pipe, are first stored in TMPDIR.\n\n"
    "Rows that are no points are listed and written to the file of rejected rows, and the exit code is then 6.\n"
    "Ctrl-C stops the import: what was sent is waited for, and the exit code is 6, too. However an import was\n"
    "interrupted, the same command with --resume sends what is missing, and nothing twice.\n\n"
    "Examples:\n"
    "  vsctl import fashion train-images-idx3-ubyte.gz --labels train-labels-idx1-ubyte.gz --scale 1/255 --metric l2\n"
    "  vsctl import words vectors.npy --ids words.txt --metric cosine\n"
    "  vsctl import sift sift_base.fvecs --metric l2 --dry-run\n"
    "  zcat points.jsonl.gz | vsctl import points - --format jsonl --resume\n"
    "  vsctl import copy fashion.npz\n"
    "  vsctl import old saved-folder\n"
    "  vsctl import copy out/vectors.npy --ids out/ids.npy --attributes out/attributes.jsonl --metric l2";

struct ImportOptions {
  std::string name;
  ImportFiles files;
  CreateOptions create;
  std::string rejects;  // empty: NAME.rejects.jsonl, made when the first row is rejected
  unsigned connections = 2;
  bool resume = false;
  bool dry_run = false;
};

// The collection that rows go to.
struct Target {
  bool created = false;  // by this import; in a dry run: it would be
  std::string metric;
  CollectionState state;
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

uint64_t unsigned_member(const ordered_json& object, const char* name) {
  const auto member = object.find(name);
  return member != object.end() && member->is_number_unsigned() ? member->get<uint64_t>() : 0;
}

Target target_of(const ordered_json& json, bool created) {
  Target target;
  target.created = created;
  if (!json.is_object()) return target;
  target.metric = cell_text(json.value("metric", ordered_json()), false);
  target.state = {unsigned_member(json, "seed"), unsigned_member(json, "lsn"), unsigned_member(json, "live")};
  return target;
}

// Checks an existing collection; makes one that is not there if settings for it were given, and in a dry run only says that it
// would. Returns nullopt after an error, with the exit code in `exit`.
std::optional<Target> prepare_collection(Context& context, const ImportOptions& options, const ImportSource& source,
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
    return target_of(json, false);
  }
  if (stats->status().code() != Code::kNotFound) return failed(stats->status());
  if (given.empty() && source.settings().empty())
    return failed({Code::kNotFound, "there is no collection '" + options.name + "'; say how to make it, for example " +
                                        "with --metric l2, or first run `vsctl create " + options.name + " --dim " +
                                        dim_text + "`"});
  if (options.dry_run) {
    ordered_json settings = {{"metric", "l2"}};
    for (const auto& [name, value] : options.create.given_or(source.settings())) settings[name] = value;
    return target_of(settings, true);
  }
  const auto reply =
      context.call("CREATE " + options.name + " dim=" + dim_text + options.create.request_text(source.settings()));
  if (!reply) {
    exit = context.exit();
    return std::nullopt;
  }
  return target_of(parse_json(*reply), true);
}

ordered_json rejected_json(const ImportResult& result) {
  ordered_json rows = ordered_json::array();
  for (const RejectedRow& row : result.rejected) {
    ordered_json& json = rows.emplace_back(ordered_json{{"row", row.number}, {"id", row.id}});
    if (row.line > 0) json["line"] = row.line;
    json["code"] = code_name(row.status.code());
    json["reason"] = row.status.message();
  }
  return rows;
}

std::string dump(const ordered_json& json) { return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

void print_result(Context& context, const ImportOptions& options, const ImportResult& result, bool created) {
  const double rate = result.seconds > 0 ? static_cast<double>(result.acknowledged) / result.seconds : 0;
  if (context.format() == Format::kTable) {
    std::string text = std::to_string(result.acknowledged) + " rows in " + fixed(result.seconds, 2) + " s, " +
                       fixed(rate, 0) + " rows/s";
    if (result.replaced > 0) text += ", " + std::to_string(result.replaced) + " replaced";
    if (result.skipped > 0) text += ", " + std::to_string(result.skipped) + " skipped as they were in already";
    if (result.rejected_total > 0) text += ", " + std::to_string(result.rejected_total) + " rejected";
    if (!result.complete()) text += ", stopped";
    return context.print(text + "\n");
  }
  Table table({{"rows"}, {"replaced"}, {"skipped"}, {"rejected"}, {"seconds"}, {"rows_per_s"}, {"stopped"}});
  table.add({std::to_string(result.acknowledged), std::to_string(result.replaced), std::to_string(result.skipped),
             std::to_string(result.rejected_total), fixed(result.seconds, 3), fixed(rate, 1),
             result.complete() ? "false" : "true"});
  const ordered_json json = {{"collection", options.name},
                             {"created", created},
                             {"rows", result.acknowledged},
                             {"replaced", result.replaced},
                             {"skipped", result.skipped},
                             {"seconds", result.seconds},
                             {"rows_per_s", rate},
                             {"stopped", !result.complete()},
                             {"rejected", result.rejected_total},
                             {"rejected_rows", rejected_json(result)}};
  context.print(table, dump(json));
}

void note_rejected(const Context& context, const ImportResult& result, const RejectFile* file) {
  const size_t shown = std::min(result.rejected.size(), kRejectedShown);
  for (size_t i = 0; i < shown; ++i) {
    const RejectedRow& row = result.rejected[i];
    std::string place = row.line > 0 ? row.file + " line " + std::to_string(row.line) : "";
    if (!row.id.empty()) place += (place.empty() ? "id '" : ", id '") + row.id + "'";
    context.note("row " + std::to_string(row.number) + " (" + place + ") was rejected: " + row.status.message());
  }
  const bool recorded = file != nullptr && result.unrecorded.ok();
  if (result.rejected_total > shown)
    context.note("and " + std::to_string(result.rejected_total - shown) + " rows more" +
                 (recorded || context.format() == Format::kJson ? "" : "; --output json lists all"));
  if (result.rejected_total > 0 && recorded) context.note("all rejected rows stand in " + file->path());
  if (!result.unrecorded.ok()) context.note(result.unrecorded.message());
}

// Only JSON lists all of them; elsewhere more than a screen would help nobody.
size_t rejected_listed(const Context& context) { return context.format() == Format::kJson ? SIZE_MAX : kRejectedShown; }

void print_dry_run(Context& context, const ImportOptions& options, const ImportResult& result, const Target& target,
                   uint64_t dim) {
  if (context.format() == Format::kTable) {
    std::string text =
        std::to_string(result.acknowledged) + " rows of " + std::to_string(dim) + " numbers would go into '" +
        options.name + "', " + target.metric +
        (target.created ? ", which would be created" : ", which has " + std::to_string(target.state.live));
    if (result.rejected_total > 0) text += "; " + std::to_string(result.rejected_total) + " would be rejected";
    return context.print(text + "\n");
  }
  Table table({{"rows"}, {"rejected"}, {"dim"}, {"metric"}, {"created"}});
  table.add({std::to_string(result.acknowledged), std::to_string(result.rejected_total), std::to_string(dim),
             target.metric, target.created ? "true" : "false"});
  context.print(table, dump({{"collection", options.name},
                             {"dry_run", true},
                             {"created", target.created},
                             {"dim", dim},
                             {"metric", target.metric},
                             {"rows", result.acknowledged},
                             {"rejected", result.rejected_total},
                             {"rejected_rows", rejected_json(result)}}));
}

// Reads all rows and sends none; the result counts those that an import would send.
Exit dry_run(Context& context, const ImportOptions& options, ImportSource& source, const Target& target,
             RejectFile* rejects) {
  ImportResult result;
  Status unreadable;
  {
    Progress progress("checking", "rows", source.rows());
    for (SourceRow row;;) {
      const auto more = source.next(row);
      if (!more.ok()) unreadable = more.status();
      if (!more.ok() || !*more) break;
      const bool zero = std::all_of(row.vector.begin(), row.vector.end(), [](float number) { return number == 0; });
      if (row.fault.ok() && zero && target.metric == "cosine")
        row.fault = {Code::kZeroVector, "the zero vector has no direction, so cosine cannot take it"};
      if (row.fault.ok())
        ++result.acknowledged;
      else
        add_rejected(result, rejected_row(source, row, row.fault), rejected_listed(context), rejects);
      progress.advance(1);
      if (const auto part = source.part()) progress.set_part(*part);
    }
  }
  keep_first_rejected(result, rejected_listed(context));
  note_rejected(context, result, rejects);
  if (!unreadable.ok()) return context.fail(unreadable);
  print_dry_run(context, options, result, target, source.columns());
  return result.rejected_total > 0 ? Exit::kPartly : Exit::kOk;
}

// The journal to keep; nullopt if there can be none, which only --resume has to know of.
Result<std::optional<ImportJournal>> open_journal(const ImportOptions& options) {
  const auto path = journal_path(process_environment, options.name, options.files.vectors);
  if (!path) return std::optional<ImportJournal>();
  auto journal = ImportJournal::open(*path);
  if (journal.ok()) return std::optional<ImportJournal>(*std::move(journal));
  if (options.resume && journal.status().code() == Code::kBusy) return journal.status();
  return std::optional<ImportJournal>();
}

void note_stopped(const Context& context, const ImportResult& result, const ImportSource& source) {
  const auto rows = source.rows();
  const uint64_t in = result.acknowledged + result.skipped;
  context.note("the import stopped" + std::string(result.stopped.ok() ? ", as it was told to" : "") + ": " +
               std::to_string(in) + (rows ? " of " + std::to_string(*rows) : "") +
               " rows are acknowledged; run it again with --resume to go on from there");
}

Exit import_files(Context& context, const ImportOptions& options) {
  auto source = ImportSource::open(options.files);
  if (!source.ok()) return context.fail(source.status());
  Exit exit = Exit::kOk;
  const auto target = prepare_collection(context, options, *source, exit);
  if (!target) return exit;
  RejectFile rejects(options.rejects.empty() ? options.name + ".rejects.jsonl" : options.rejects, options.resume);
  if (!options.rejects.empty())
    if (const Status status = rejects.open(); !status.ok()) return context.fail(status);
  if (options.dry_run) return dry_run(context, options, *source, *target, options.rejects.empty() ? nullptr : &rejects);

  auto journal = open_journal(options);
  if (!journal.ok()) return context.fail(journal.status());
  ImportTask task;
  task.collection = options.name;
  task.seed = target->state.seed;
  task.connections = options.connections;
  task.rejected_listed = rejected_listed(context);
  task.rejects = &rejects;
  const std::optional<ImportState> found = *journal ? (*journal)->found() : std::nullopt;
  if (options.resume) {
    bool lost = false;
    const auto point =
        find_resume_point(context.settings, options.name, target->state, options.files, *source, found, lost);
    if (!point.ok()) return lost ? context.fail_connection(point.status()) : context.fail(point.status());
    if (point->used_up) {
      (*journal)->remove();
      return context.fail({Code::kBadRequest, point->note});
    }
    if (!point->note.empty()) context.note(point->note);
    task.start = point->mark;
    task.compare_below = point->compare_below;
    if (found && point->note.empty()) task.lsn = found->lsn;
  }
  if (*journal && (*journal)->begin(options.name, task.seed, options.files.vectors).ok()) task.journal = &**journal;

  ImportResult result = import_rows(context.settings, *source, task);
  result.skipped += task.start.rows - task.start.rejected;
  note_rejected(context, result, &rejects);
  if (task.start.rejected > 0)
    context.note(std::to_string(task.start.rejected) + " rows were rejected before the interruption; see " +
                 rejects.path());
  if (result.rejected_total + task.start.rejected > 0 || result.interrupted) exit = Exit::kPartly;
  if (!result.stopped.ok()) exit = result.lost ? context.fail_connection(result.stopped) : context.fail(result.stopped);
  if (!result.complete()) note_stopped(context, result, *source);
  print_result(context, options, result, target->created);
  return exit;
}

}  // namespace

void add_import_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<ImportOptions>();
  CLI::App* command = app.add_subcommand("import", "Add the rows of files to a collection");
  add_name(*command, options->name);
  ImportFiles& files = options->files;
  const auto* vectors =
      command
          ->add_option("FILE", files.vectors,
                       "The files, plain or gzip, - for the standard input, or a folder; their rows are counted "
                       "on from one to the next")
          ->required();
  command->add_option("--format", files.format, "Their format (default: seen from the first bytes, else from the name)")
      ->check(CLI::IsMember(import_format_names()));
  command->add_option("--header", files.header, "Whether the first line of CSV names the columns: yes, no, guess")
      ->check(CLI::IsMember({"guess", "yes", "no"}))
      ->capture_default_str();
  auto* labels = command->add_option("--labels", files.labels,
                                     "IDX, NPY or text file, one label a row; they become the attribute \"label\"");
  // One file each time, so that a FILE may follow.
  labels->allow_extra_args(false);
  command->add_option("--attributes", files.attributes, "File with one JSON object a line, such as an export's")
      ->excludes(labels);
  command->add_option("--ids", files.ids,
                      "File with one id a line, or an NPY file of strings (default: the rows' numbers, from 0)");
  command->add_option("--id-prefix", files.id_prefix, "Put before every id");
  add_scale(*command, files.scale);
  auto* resume = command->add_flag("--resume", options->resume, "Go on where an interrupted import stopped");
  command->add_flag("--dry-run", options->dry_run, "Read and check everything, send nothing")->excludes(resume);
  command->add_option("--rejects", options->rejects,
                      "File for rejected rows (default NAME.rejects.jsonl, made if there are any)");
  command->add_option("--connections", options->connections, "Connections to send over")
      ->check(whole_number(1, 64))
      ->capture_default_str();
  add_create_options(*command, options->create);
  command->footer(kFooter);
  set_action(*command, context, [&context, options, vectors] {
    options->files.vectors = vectors->results();  // CLI11 2.4 takes the one file {} for an empty list
    return import_files(context, *options);
  });
}

}  // namespace vs::cli
