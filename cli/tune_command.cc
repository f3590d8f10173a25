// tune: which ef reaches a recall, and what other parameters of the graph would give.
#include <algorithm>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/explore.h"
#include "cli/interrupt.h"
#include "cli/private_daemon.h"
#include "cli/tune.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

struct TuneOptions {
  std::string name;
  std::string queries;
  std::string scale = "1";
  double target = 0;
  uint64_t k = limits::kKDefault;
  std::optional<uint64_t> sample;
  unsigned connections = 2;
  bool set = false;
  bool explore = false;
  std::vector<uint64_t> m = {8, 16, 32};
  std::vector<uint64_t> ef_construction = {100, 200, 400};
  uint64_t points = 10'000;
  std::string program;
  std::string scratch;
};

Exit fail_run(const Context& context, const Status& status, bool lost) {
  if (status.code() == Code::kShuttingDown && Interrupt::requested()) {
    context.note("stopped, as it was told to; nothing was changed");
    return Exit::kFailure;
  }
  return lost ? context.fail_connection(status) : context.fail(status);
}

void add_tuning(ordered_json& json, const Tuning& tuning) {
  const TuneStep& best = tuning.best();
  json["ef"] = tuning.reached ? ordered_json(best.ef) : ordered_json();
  json["recall"] = best.recall.mean;
  json["recall_low"] = best.recall.low;
  json["qps"] = best.qps;
  json["p95_ms"] = best.p95_ms;
}

ordered_json steps_json(const Tuning& tuning) {
  ordered_json steps = ordered_json::array();
  for (const TuneStep& step : tuning.steps) {
    steps.push_back({{"ef", step.ef},
                     {"recall", step.recall.mean},
                     {"recall_low", step.recall.low},
                     {"qps", step.qps},
                     {"p95_ms", step.p95_ms},
                     {"chosen", tuning.reached && tuning.reached->ef == step.ef}});
  }
  return steps;
}

ordered_json explored_json(const std::vector<ExploredGraph>& graphs, const GraphParameters& present) {
  ordered_json explored = ordered_json::array();
  for (const ExploredGraph& graph : graphs) {
    ordered_json row = {{"m", graph.parameters.m},
                        {"ef_construction", graph.parameters.ef_construction},
                        {"present", graph.parameters == present},
                        {"build_s", graph.build_s},
                        {"bytes_per_point", graph.bytes_per_point}};
    add_tuning(row, graph.tuning);
    explored.push_back(std::move(row));
  }
  return explored;
}

std::string table_cell(const std::string& column, const ordered_json& value, bool short_numbers) {
  if (value.is_boolean() && short_numbers) return value.get<bool>() ? "*" : "";
  if (!value.is_number_float()) return cell_text(value, short_numbers);
  int digits = 6;
  if (short_numbers)
    digits = column.starts_with("recall") ? 4 : column.starts_with("p95") || column == "build_s" ? 2 : 0;
  return fixed(value, digits);
}

Table table_of(const ordered_json& rows, bool short_numbers) {
  std::vector<Table::Column> columns;
  for (const auto& [name, value] : rows.front().items()) columns.push_back({name, !value.is_boolean()});
  Table table(columns);
  for (const ordered_json& row : rows) {
    std::vector<std::string> cells;
    for (const Table::Column& column : columns)
      cells.push_back(table_cell(column.name, row[column.name], short_numbers));
    table.add(std::move(cells));
  }
  return table;
}

// How many queries to ask. Errors: kBadRequest (the file has too few for the target).
Result<uint64_t> sample_size(const TuneOptions& options, uint64_t rows) {
  constexpr uint64_t kDefault = 1000;
  const uint64_t least = queries_at_least(options.target);
  const uint64_t sample = std::min(options.sample.value_or(std::max(kDefault, 2 * least)), rows);
  if (sample >= least) return sample;
  return Status{Code::kBadRequest, "a recall of " + cell_text(options.target, false) + " cannot be told from " +
                                       std::to_string(sample) + " queries; expected at least " + std::to_string(least) +
                                       (sample == rows ? ", in a larger file" : ", with --sample")};
}

// How far the sample reaches, when it does not reach the target.
std::string why_not(const TuneOptions& options, const Tuning& tuning) {
  const RecallEstimate& best = tuning.steps.back().recall;
  const std::string target = fixed(options.target, 4);
  const std::string recall_at = "recall@" + std::to_string(options.k);
  const auto needed = queries_needed(best, options.target);
  if (!needed)
    return "no ef reaches a " + recall_at + " of " + target + ": with ef=" + std::to_string(tuning.steps.back().ef) +
           " it is " + fixed(best.mean, 4) + "; --explore shows whether a larger M or ef_construction would";
  return "a " + recall_at + " of " + target + " cannot be told from " + std::to_string(best.queries) +
         " queries: it was " + fixed(best.mean, 4) + ", and with 95% confidence is above " + fixed(best.low, 4) +
         "; about " + std::to_string(*needed) + " queries are needed, so take " +
         std::to_string(*needed - std::min(*needed, best.queries)) +
         " more with --sample, from a file that has as many";
}

// Of the collection, with how it is to be made anew, as STATS has it.
struct Present {
  GraphParameters graph;
  std::string create;
  uint64_t ef_search = 0;
};

Present present_of(const ordered_json& stats) {
  const auto number = [&](const char* name) {
    const ordered_json value = stats.is_object() ? stats.value(name, ordered_json()) : stats;
    return value.is_number_unsigned() ? value.get<uint64_t>() : 0;
  };
  Present present{{number("m"), number("ef_construction")}, "", number("ef_search")};
  for (const char* name : {"dim", "metric", "codes"})
    present.create += std::string(" ") + name + "=" + cell_text(stats.value(name, ordered_json()), false);
  return present;
}

std::vector<GraphParameters> grid_of(const TuneOptions& options, const GraphParameters& present) {
  std::vector<GraphParameters> grid = {present};
  for (uint64_t m : options.m)
    for (uint64_t ef_construction : options.ef_construction)
      if (const GraphParameters graph{m, ef_construction}; std::find(grid.begin(), grid.end(), graph) == grid.end())
        grid.push_back(graph);
  return grid;
}

// Nullopt after an error, with the exit code in `exit`.
std::optional<ordered_json> explore(Context& context, const TuneOptions& options, const Present& present,
                                    const TuneTask& task, Exit& exit) {
  const auto daemon = PrivateDaemon::start({.program = options.program, .scratch = options.scratch, .snapshot = ""});
  if (!daemon.ok()) {
    exit = fail_run(context, {daemon.status().code(), "cannot start a vsd to build on: " + daemon.status().message()},
                    false);
    return std::nullopt;
  }
  const auto points = sample_points(context, options.name, options.points, exit);
  if (!points) return std::nullopt;
  Settings settings;
  settings.socket = daemon->socket();
  const auto graphs = explore_graphs(settings, present.create, *points, grid_of(options, present.graph), task);
  if (!graphs.ok()) {
    exit = fail_run(context, graphs.status(), false);
    return std::nullopt;
  }
  context.note("the graphs below are of " + std::to_string(points->size()) +
               " points; of more points the same recall takes a larger ef, so compare them with each other (* is the "
               "collection's present M and ef_construction)");
  return explored_json(*graphs, present.graph);
}

// Stores the ef that was found. Returns whether it did.
bool set_ef(Context& context, const TuneOptions& options, const Tuning& tuning, Exit& exit) {
  if (!tuning.reached) {
    context.note("the collection's ef_search stays as it is");
    return false;
  }
  const std::string ef = std::to_string(tuning.reached->ef);
  if (!context.call("ALTER " + options.name + " ef_search=" + ef)) {
    exit = context.exit();
    return false;
  }
  context.note("searches of '" + options.name + "' that name no ef take " + ef + " from now on");
  return true;
}

Exit tune(Context& context, const TuneOptions& options) {
  const auto scale = parse_scale(options.scale);
  if (!scale.ok()) return context.fail(scale.status());
  const auto file = Array::open(options.queries);
  if (!file.ok()) return context.fail(file.status());
  const auto reply = context.call("STATS " + options.name);
  if (!reply) return context.exit();
  const ordered_json stats = parse_json(*reply);
  if (const Status status = check_queries(options.name, stats, *file); !status.ok()) return context.fail(status);
  const auto sample = sample_size(options, file->rows());
  if (!sample.ok()) return context.fail(sample.status());
  const auto queries = encode_queries(*file, *scale, *sample, Rows::kSpread);
  if (!queries.ok()) return context.fail(queries.status());

  const Interrupt interrupt;
  const TuneTask task{options.name, *queries, options.k, options.target, options.connections};
  bool lost = false;
  const auto truth = find_truth(context.settings, task, lost);
  if (!truth.ok()) return fail_run(context, truth.status(), lost);
  const auto tuning = tune_ef(context.settings, task, *truth, lost);
  if (!tuning.ok()) return fail_run(context, tuning.status(), lost);

  const bool short_numbers = context.format() == Format::kTable;
  const Present present = present_of(stats);
  ordered_json json = {{"collection", options.name},
                       {"k", options.k},
                       {"target", options.target},
                       {"queries", queries->vectors.size()},
                       {"connections", options.connections}};
  add_tuning(json, *tuning);
  json["ef_search"] = present.ef_search;
  json["steps"] = steps_json(*tuning);
  if (short_numbers) context.print(table_of(json["steps"], true).text());
  Exit exit = tuning->reached ? Exit::kOk : Exit::kFailure;
  if (!tuning->reached) context.note(why_not(options, *tuning));
  if (options.set && set_ef(context, options, *tuning, exit)) json["ef_search"] = tuning->reached->ef;
  if (options.explore) {
    auto explored = explore(context, options, present, task, exit);
    if (!explored && short_numbers) return exit;
    json["explored"] = explored ? *std::move(explored) : ordered_json();
  }
  const bool with_explored = options.explore && json["explored"].is_array();
  const Table table = table_of(json[with_explored ? "explored" : "steps"], short_numbers);
  if (!short_numbers) {
    context.print(table, json.dump());
  } else if (with_explored) {
    context.print("\n" + table.text());
  }
  return exit;
}

void add_explore_options(CLI::App& command, TuneOptions& options) {
  auto* explore =
      command.add_flag("--explore", options.explore,
                       "Also build graphs with other parameters, of a sample of the points, with a vsd of its "
                       "own; nothing changes on the daemon");
  command.add_option("--m", options.m, "Their values of M, with commas (default 8,16,32)")
      ->delimiter(',')
      ->check(whole_number(limits::kMMin, limits::kMMax))
      ->needs(explore);
  command
      .add_option("--ef-construction", options.ef_construction,
                  "Their values of ef_construction, with commas (default 100,200,400)")
      ->delimiter(',')
      ->check(whole_number(1, limits::kEfConstructionMax))
      ->needs(explore);
  command.add_option("--points", options.points, "Points in the sample")
      ->check(whole_number(100, 1'000'000))
      ->needs(explore)
      ->capture_default_str();
  command.add_option("--vsd", options.program, "The vsd to build with (default: the one beside vsctl, else in PATH)")
      ->needs(explore);
  options.scratch = PrivateDaemon::default_scratch();
  command.add_option("--scratch", options.scratch, "Existing directory for its files")
      ->check(CLI::ExistingDirectory)
      ->needs(explore)
      ->capture_default_str();
}

}  // namespace

void add_tune_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<TuneOptions>();
  CLI::App* command = app.add_subcommand("tune", "Find the smallest ef that reaches a recall");
  add_name(*command, options->name);
  command->add_option("--queries", options->queries, "IDX or NPY file of query vectors")->required();
  command->add_option("--target-recall", options->target, "The recall@k to reach, such as 0.99")
      ->required()
      ->check([](const std::string& text) {
        const auto number = protocol::read_number({protocol::Value::Kind::kBare, text}, "recall");
        return number.ok() && *number > 0 && *number < 1 ? std::string()
                                                         : "expected a number between 0 and 1; got '" + text + "'";
      });
  command->add_option("-k", options->k, "Neighbours")->check(whole_number(1, limits::kKMax))->capture_default_str();
  add_scale(*command, options->scale);
  command
      ->add_option("--sample", options->sample,
                   "Queries to ask, spread over the file (default 1000, or twice what the target needs at least)")
      ->check(whole_number(2));
  command->add_option("--connections", options->connections, "Connections that search at the same time")
      ->check(whole_number(1, 256))
      ->capture_default_str();
  command->add_flag("--set", options->set, "Make it the collection's ef_search, durably");
  add_explore_options(*command, *options);
  command->footer(
      "Recall is against exact search. The chosen ef is the smallest whose recall is above the target with 95%\n"
      "confidence (recall_low), counting each query as one observation. If no ef is, the exit code is 1, and it is\n"
      "said how many queries would be needed. With --explore, --output csv has the graphs instead of the steps.\n\n"
      "Examples:\n"
      "  vsctl tune fashion --queries t10k-images-idx3-ubyte.gz --scale 1/255 --target-recall 0.99 --set\n"
      "  vsctl tune fashion --queries t10k-images-idx3-ubyte.gz --scale 1/255 --target-recall 0.99 --explore --m 8,32");
  set_action(*command, context, [&context, options] { return tune(context, *options); });
}

}  // namespace vs::cli
