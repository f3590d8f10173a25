#include <algorithm>

#include "cli/arguments.h"
#include "cli/chart.h"
#include "cli/commands.h"
#include "cli/eval.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

struct EvalOptions {
  std::string name;
  std::string queries;
  std::string truth;
  uint64_t k = limits::kKDefault;
  std::vector<uint64_t> ef = {16, 32, 64, 128};
  uint64_t limit = 0;
  std::string scale = "1";
  unsigned connections = 2;
  std::string plot;
};

Exit fail_run(const Context& context, const SearchRun& run) {
  return run.lost ? context.fail_connection(run.failed) : context.fail(run.failed);
}

Result<Answers> truth_from_file(const EvalOptions& options, uint64_t queries) {
  VS_ASSIGN_OR_RETURN(const Array file, Array::open(options.truth));
  if (!file.integers() || file.shape().size() != 2)
    return Status{Code::kBadRequest,
                  options.truth + ": expected row numbers, an array of integers with two dimensions"};
  if (file.rows() < queries || file.columns() < options.k)
    return Status{Code::kBadRequest, options.truth + ": expected at least " + std::to_string(queries) + " rows of " +
                                         std::to_string(options.k) + " neighbours; got " + std::to_string(file.rows()) +
                                         " of " + std::to_string(file.columns())};
  return read_truth(file, queries, options.k);
}

// Prints the error and returns nullopt with the exit code in `exit`.
std::optional<Answers> make_truth(Context& context, const EvalOptions& options, const EvalQueries& queries,
                                  Exit& exit) {
  if (!options.truth.empty()) {
    auto truth = truth_from_file(options, queries.vectors.size());
    if (truth.ok()) return *std::move(truth);
    exit = context.fail(truth.status());
    return std::nullopt;
  }
  SearchRun run = run_searches(context.settings, options.name, queries, " exact=true k=" + std::to_string(options.k),
                               options.connections, "exact search");
  if (run.failed.ok()) return std::move(run.answers);
  exit = fail_run(context, run);
  return std::nullopt;
}

// `result` as eval() prints it.
Chart chart_of(const EvalOptions& options, const ordered_json& result, const ordered_json& live) {
  const std::string recall_at = "recall@" + std::to_string(options.k);
  Chart chart;
  chart.title = options.name + ": " + recall_at + " against queries a second";
  chart.subtitle = cell_text(live, false) + " points, " + result["queries"].dump() + " queries over " +
                   std::to_string(options.connections) + (options.connections == 1 ? " connection" : " connections");
  chart.x_label = recall_at;
  chart.y_label = "queries a second, logarithmic";
  ordered_json by_ef = result["results"];
  std::sort(by_ef.begin(), by_ef.end(), [](const auto& a, const auto& b) { return a["ef"] < b["ef"]; });
  for (const ordered_json& point : by_ef)
    chart.points.push_back({point["recall"], point["qps"], "ef " + point["ef"].dump()});
  return chart;
}

Exit eval(Context& context, const EvalOptions& options) {
  const auto scale = parse_scale(options.scale);
  if (!scale.ok()) return context.fail(scale.status());
  const auto file = Array::open(options.queries);
  if (!file.ok()) return context.fail(file.status());
  const auto reply = context.call("STATS " + options.name);
  if (!reply) return context.exit();
  const ordered_json stats = parse_json(*reply);
  if (const Status status = check_queries(options.name, stats, *file); !status.ok()) return context.fail(status);
  const auto queries = encode_queries(*file, *scale, options.limit);
  if (!queries.ok()) return context.fail(queries.status());

  Exit exit = Exit::kOk;
  const auto truth = make_truth(context, options, *queries, exit);
  if (!truth) return exit;

  const bool short_numbers = context.format() == Format::kTable;
  Table table({{"ef", true},
               {"recall@" + std::to_string(options.k), true},
               {"QPS", true},
               {"p50_ms", true},
               {"p95_ms", true},
               {"p99_ms", true}});
  ordered_json results = ordered_json::array();
  for (uint64_t ef : options.ef) {
    const std::string request = " k=" + std::to_string(options.k) + " ef=" + std::to_string(ef);
    const SearchRun run = run_searches(context.settings, options.name, *queries, request, options.connections,
                                       "ef=" + std::to_string(ef));
    if (!run.failed.ok()) return fail_run(context, run);
    const double found = recall(*truth, run.answers);
    const double qps = static_cast<double>(queries->vectors.size()) / run.seconds;
    std::vector<std::string> row = {std::to_string(ef), fixed(found, short_numbers ? 4 : 6),
                                    fixed(qps, short_numbers ? 0 : 2)};
    ordered_json result = {{"ef", ef}, {"recall", found}, {"qps", qps}};
    for (int percent : {50, 95, 99}) {
      const double ms = percentile(run.latencies_ms, percent);
      row.push_back(fixed(ms, short_numbers ? 2 : 4));
      result["p" + std::to_string(percent) + "_ms"] = ms;
    }
    table.add(std::move(row));
    results.push_back(std::move(result));
  }
  const ordered_json json = {{"collection", options.name},
                             {"k", options.k},
                             {"queries", queries->vectors.size()},
                             {"connections", options.connections},
                             {"truth", options.truth.empty() ? "exact search" : options.truth},
                             {"results", std::move(results)}};
  context.print(table, json.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  if (options.plot.empty()) return Exit::kOk;
  const Status drawn = write_chart(chart_of(options, json, stats.value("live", ordered_json())), options.plot);
  return drawn.ok() ? Exit::kOk : context.fail(drawn);
}

}  // namespace

void add_eval_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<EvalOptions>();
  CLI::App* command = app.add_subcommand("eval", "Measure recall, queries a second and latency for several ef");
  add_name(*command, options->name);
  command->add_option("--queries", options->queries, "IDX, NPY or fvecs file of query vectors")->required();
  command->add_option("--truth", options->truth,
                      "NPY file with the true neighbours' row numbers (default: exact search on the daemon first)");
  command->add_option("-k", options->k, "Neighbours")->check(whole_number(1, limits::kKMax))->capture_default_str();
  command->add_option("--ef", options->ef, "Values of ef, with commas (default 16,32,64,128)")
      ->delimiter(',')
      ->check(whole_number(1, limits::kEfMax));
  command->add_option("--limit", options->limit, "Only the first so many queries (default all)")
      ->check(whole_number(1));
  add_scale(*command, options->scale);
  command->add_option("--connections", options->connections, "Connections that search at the same time")
      ->check(whole_number(1, 256))
      ->capture_default_str();
  command
      ->add_option("--plot", options->plot,
                   "Draw recall against QPS, a point for each ef, into this file that ends with .png or .svg")
      ->check([](const std::string& path) { return check_chart_path(path).message(); });
  command->footer(
      "An ef below k searches as if it were k. Latency is from sending a query to having its whole reply.\n\n"
      "Examples:\n"
      "  vsctl eval fashion --queries t10k-images-idx3-ubyte.gz --scale 1/255 --limit 1000\n"
      "  vsctl eval fashion --queries t10k-images-idx3-ubyte.gz --scale 1/255 --truth neighbors.npy --ef 32,128\n"
      "  vsctl eval fashion --queries t10k-images-idx3-ubyte.gz --scale 1/255 --plot fashion.png");
  set_action(*command, context, [&context, options] { return eval(context, *options); });
}

}  // namespace vs::cli
