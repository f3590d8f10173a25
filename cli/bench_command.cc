// bench: options, and what a run says.
#include <random>
#include <thread>

#include "cli/arguments.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/interrupt.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

constexpr double kDurationDefault = 10;
constexpr unsigned kOpenPipelineDefault = 64;
constexpr double kPercents[] = {50, 90, 95, 99, 99.9};

struct BenchOptions {
  std::string name;
  std::string queries;
  uint64_t limit = 0;
  std::string scale = "1";
  uint64_t k = limits::kKDefault;
  std::optional<uint64_t> ef;
  unsigned connections = 2;
  std::optional<unsigned> pipeline;
  std::optional<double> duration;
  std::optional<uint64_t> count;
  std::optional<double> rate;
  double warmup = 1;
  double writes = 0;
  bool keep = false;
};

double to_ms(std::chrono::nanoseconds duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

BenchPlan plan_of(const BenchOptions& options) {
  BenchPlan plan;
  plan.collection = options.name;
  plan.search_options = " k=" + std::to_string(options.k);
  if (options.ef) plan.search_options += " ef=" + std::to_string(*options.ef);
  plan.connections = options.connections;
  plan.pipeline = options.pipeline.value_or(options.rate ? kOpenPipelineDefault : 1);
  plan.rate = options.rate;
  plan.warmup_s = options.warmup;
  plan.duration_s = options.duration;
  plan.count = options.count;
  if (!plan.duration_s && !plan.count) plan.duration_s = kDurationDefault;
  plan.writes = options.writes;
  std::random_device random;
  char tag[32];
  std::snprintf(tag, sizeof tag, "bench-%08x%08x-", random(), random());
  plan.id_prefix = tag;
  return plan;
}

// What the client itself did to the figures.
struct Bottleneck {
  double cores = 0;  // of this machine
  double late_p99_ms = 0;
  std::string warning;  // empty: none
};

Bottleneck bottleneck_of(const BenchResult& result) {
  constexpr double kBusyThread = 0.85;
  constexpr double kBusyMachine = 0.8;
  constexpr double kLateMs = 0.2;
  constexpr double kLatePart = 0.1;
  Bottleneck found;
  found.cores = std::max(1U, std::thread::hardware_concurrency());
  found.late_p99_ms = to_ms(result.lateness.percentile(99));
  Histogram all = result.searches.latencies;
  all.merge(result.writes.latencies);
  if (all.count() == 0) return found;
  if (result.busiest_thread > kBusyThread) {
    found.warning = "one of the load generator's threads ran or waited for a processor for " +
                    fixed(result.busiest_thread * 100, 0) +
                    "% of the time, so it may be what limits the rate; use more --connections, a smaller --pipeline or "
                    "another machine";
  } else if (result.cpu_cores > kBusyMachine * found.cores) {
    found.warning = "the load generator used " + fixed(result.cpu_cores, 1) + " of this machine's " +
                    fixed(found.cores, 0) +
                    " cores, so it may be what limits the rate; use fewer --connections or another machine";
  } else if (found.late_p99_ms > kLateMs && found.late_p99_ms > kLatePart * to_ms(all.percentile(99))) {
    found.warning = "1% of the requests were sent more than " + fixed(found.late_p99_ms, 2) +
                    " ms late by the load generator, which is part of their latencies; use a lower --rate, fewer "
                    "--connections or another "
                    "machine";
  }
  return found;
}

ordered_json operation_json(const char* name, const BenchOperation& operation, double seconds) {
  const Histogram& latencies = operation.latencies;
  const auto ms = [&](std::chrono::nanoseconds duration) {
    return latencies.count() > 0 ? ordered_json(to_ms(duration)) : ordered_json();
  };
  ordered_json json = {{"operation", name},
                       {"replies", latencies.count()},
                       {"errors", operation.error_count()},
                       {"qps", seconds > 0 ? static_cast<double>(latencies.count()) / seconds : 0}};
  for (double percent : kPercents) {
    std::string key = fixed(percent, percent == 99.9 ? 1 : 0);
    std::erase(key, '.');
    json["p" + key + "_ms"] = ms(latencies.percentile(percent));
  }
  json["max_ms"] = ms(latencies.max());
  ordered_json& codes = json["error_codes"] = ordered_json::object();
  for (const auto& [code, error] : operation.errors) codes[code] = error.count;
  return json;
}

Table table_of(const ordered_json& operations, bool short_numbers) {
  std::vector<Table::Column> columns;
  for (const auto& [name, value] : operations.front().items())
    if (!value.is_object()) columns.push_back({name, name != "operation"});
  Table table(columns);
  for (const ordered_json& operation : operations) {
    std::vector<std::string> row;
    for (const Table::Column& column : columns) {
      const ordered_json& value = operation[column.name];
      const bool milliseconds = column.name.ends_with("_ms");
      row.push_back(value.is_number_float()
                        ? fixed(value, milliseconds ? (short_numbers ? 3 : 6) : (short_numbers ? 0 : 2))
                        : cell_text(value, short_numbers));
    }
    table.add(std::move(row));
  }
  return table;
}

void note_errors(const Context& context, const char* name, const BenchOperation& operation) {
  for (const auto& [code, error] : operation.errors)
    context.note(std::to_string(error.count) + " of the " + name + " requests were answered " + code +
                 ", the first one: " + error.first);
}

void note_result(const Context& context, const BenchResult& result, const Bottleneck& bottleneck) {
  note_errors(context, "search", result.searches);
  note_errors(context, "add", result.writes);
  if (result.unsent > 0)
    context.note("the daemon did not keep up with the rate: " + std::to_string(result.unsent) +
                 " requests were due and never sent, which would have waited longer than those that were");
  if (!bottleneck.warning.empty()) context.note(bottleneck.warning);
  if (result.interrupted) context.note("stopped early, as it was told to");
}

// Deletes what was written, unless it is to be kept. Returns what is to be reported of it.
ordered_json clean_up(const Context& context, const BenchOptions& options, const BenchPlan& plan,
                      const BenchResult& result, Exit& exit) {
  ordered_json json = {{"id_prefix", plan.id_prefix}, {"kept", options.keep}, {"deleted", 0}};
  if (options.keep) {
    context.note("the points that were added stay; their ids begin with " + plan.id_prefix);
    return json;
  }
  const auto deleted = delete_written(context.settings, plan, result.written);
  if (deleted.ok()) {
    json["deleted"] = *deleted;
    return json;
  }
  context.note("points that were added could not be deleted (" + deleted.status().message() +
               "); their ids begin with " + plan.id_prefix);
  if (exit == Exit::kOk) exit = Exit::kPartly;
  return json;
}

Exit exit_of(const Context& context, const BenchResult& result) {
  if (!result.failed.ok()) return result.lost ? context.fail_connection(result.failed) : context.fail(result.failed);
  const uint64_t errors = result.searches.error_count() + result.writes.error_count();
  const uint64_t replies = result.searches.latencies.count() + result.writes.latencies.count();
  if (errors > 0 && replies == 0) return Exit::kFailure;
  return errors > 0 || result.interrupted ? Exit::kPartly : Exit::kOk;
}

Exit bench(Context& context, const BenchOptions& options) {
  const auto scale = parse_scale(options.scale);
  if (!scale.ok()) return context.fail(scale.status());
  const auto file = Array::open(options.queries);
  if (!file.ok()) return context.fail(file.status());
  const auto stats = context.call("STATS " + options.name);
  if (!stats) return context.exit();
  if (const Status status = check_queries(options.name, parse_json(*stats), *file); !status.ok())
    return context.fail(status);
  const auto queries = encode_queries(*file, *scale, options.limit);
  if (!queries.ok()) return context.fail(queries.status());

  const BenchPlan plan = plan_of(options);
  const Interrupt interrupt;
  const BenchResult result = run_bench(context.settings, plan, *queries);
  const Bottleneck bottleneck = bottleneck_of(result);
  note_result(context, result, bottleneck);
  Exit exit = exit_of(context, result);
  ordered_json operations = ordered_json::array();
  if (plan.writes < 1) operations.push_back(operation_json("search", result.searches, result.seconds));
  if (plan.writes > 0) operations.push_back(operation_json("add", result.writes, result.seconds));
  ordered_json json = {{"collection", options.name},
                       {"loop", plan.rate ? "open" : "closed"},
                       {"rate", plan.rate ? ordered_json(*plan.rate) : ordered_json()},
                       {"connections", plan.connections},
                       {"pipeline", plan.pipeline},
                       {"seconds", result.seconds},
                       {"stopped", result.interrupted || !result.failed.ok()},
                       {"unsent", result.unsent},
                       {"client",
                        {{"cpu_cores", result.cpu_cores},
                         {"cores", bottleneck.cores},
                         {"busiest_thread", result.busiest_thread},
                         {"late_p99_ms", plan.rate ? ordered_json(bottleneck.late_p99_ms) : ordered_json()},
                         {"bottleneck", !bottleneck.warning.empty()}}}};
  if (plan.writes > 0) json["written"] = clean_up(context, options, plan, result, exit);
  json["operations"] = operations;
  context.print(table_of(operations, context.format() == Format::kTable), json.dump());
  return exit;
}

// Above 0 unless it may be that.
CLI::Validator seconds_or_rate(double max, bool zero = false) {
  return CLI::Validator(
      [max, zero](const std::string& text) {
        const auto number = protocol::read_number({protocol::Value::Kind::kBare, text}, "number");
        if (number.ok() && *number <= max && (zero ? *number >= 0 : *number > 0)) return std::string();
        return "expected a number " + std::string(zero ? "from 0" : "above 0") + " up to " + fixed(max, 0) + "; got '" +
               text + "'";
      },
      "NUMBER");
}

}  // namespace

void add_bench_command(CLI::App& app, Context& context) {
  constexpr double kSecondsMax = 7 * 24 * 3600;
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand("bench", "Send searches as fast as they are answered, or at a fixed rate");
  add_name(*command, options->name);
  command->add_option("--queries", options->queries, "IDX or NPY file of query vectors, sent in turn")->required();
  command->add_option("--limit", options->limit, "Only the file's first so many rows (default all)")
      ->check(whole_number(1));
  add_scale(*command, options->scale);
  command->add_option("-k", options->k, "Neighbours")->check(whole_number(1, limits::kKMax))->capture_default_str();
  command->add_option("--ef", options->ef, "Candidates (default: the collection's ef_search)")
      ->check(whole_number(1, limits::kEfMax));
  command->add_option("--connections", options->connections, "Connections")
      ->check(whole_number(1, 256))
      ->capture_default_str();
  command
      ->add_option("--pipeline", options->pipeline,
                   "Requests that a connection may have on their way (default 1, with --rate 64)")
      ->check(whole_number(1, limits::kRequestsInFlight));
  command->add_option("--rate", options->rate, "Open loop: requests a second of all connections together")
      ->check(seconds_or_rate(1e6));
  command->add_option("--duration", options->duration, "Seconds (default 10, unless --count is given)")
      ->check(seconds_or_rate(kSecondsMax));
  command->add_option("--count", options->count, "Requests, instead of or besides --duration")->check(whole_number(1));
  command->add_option("--warmup", options->warmup, "Seconds before anything is counted")
      ->check(seconds_or_rate(kSecondsMax, /*zero=*/true))
      ->capture_default_str();
  auto* writes =
      command->add_option("--writes", options->writes,
                          "CHANGES THE COLLECTION: the part of the requests, 0..1, that add a point (a query "
                          "vector under a new id bench-…). They are deleted at the end");
  writes->check(seconds_or_rate(1, /*zero=*/true));
  command->add_flag("--keep", options->keep, "Do not delete what --writes added")->needs(writes);
  command->footer(
      "Without --rate the loop is closed: a connection sends when a reply came, and latency is from sending to having\n"
      "the reply. With --rate it is open: each request has its time, whatever the daemon does, and latency is from\n"
      "that time, so that a stall counts for all who would have come meanwhile. Errors are counted apart.\n"
      "On one connection a search waits for the writes before it. While it runs, the points of --writes are found by\n"
      "other clients, too. Ctrl-C ends the run early and prints what was measured; the exit code is then 6, as it is\n"
      "if some requests were answered with an error.\n\n"
      "Examples:\n"
      "  vsctl bench fashion --queries t10k-images-idx3-ubyte.gz --scale 1/255 --connections 4 --duration 30\n"
      "  vsctl bench fashion --queries t10k-images-idx3-ubyte.gz --scale 1/255 --rate 500 --ef 128\n"
      "  vsctl bench fashion --queries t10k-images-idx3-ubyte.gz --scale 1/255 --count 10000 --writes 0.1");
  set_action(*command, context, [&context, options] { return bench(context, *options); });
}

}  // namespace vs::cli
