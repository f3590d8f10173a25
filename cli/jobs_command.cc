#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/job.h"
#include "cli/progress.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

constexpr std::chrono::seconds kWatchInterval{1};

struct JobsOptions {
  std::optional<uint64_t> number;
  std::optional<uint64_t> cancel;
  bool watch = false;

  std::string request() const {
    if (cancel) return "CANCEL " + std::to_string(*cancel);
    return number ? "JOBS " + std::to_string(*number) : "JOBS";
  }
};

// A result in a few words; `vsctl jobs N` shows all of it.
std::string summary(const ordered_json& result) {
  if (!result.is_object()) return "";
  if (result.contains("message")) return cell_text(result["message"], true);
  if (result.contains("deleted_slots"))
    return cell_text(result.value("points", ordered_json()), true) + " points, " +
           cell_text(result["deleted_slots"], true) + " deleted went";
  if (result.contains("tag")) return cell_text(result["tag"], true);
  if (!result.contains("clean")) return cell_text(result, true);
  const std::string left = cell_text(result.value("problems_left", ordered_json()), true);
  std::string text = result["clean"] == true ? "clean" : left + (left == "1" ? " problem" : " problems");
  if (result.value("repaired", ordered_json(0)) != 0) text += ", " + cell_text(result["repaired"], true) + " repaired";
  return text;
}

Table jobs_table(const ordered_json& jobs, bool for_people) {
  constexpr const char* kColumns[] = {"job", "kind", "collection", "state", "percent", "rate", "eta_s", "result"};
  std::vector<Table::Column> columns;
  for (const std::string name : kColumns)
    columns.push_back({name, name == "job" || name == "percent" || name == "rate" || name == "eta_s"});
  if (for_people) columns[6].name = "ETA";
  Table table(columns);
  for (const ordered_json& job : jobs) {
    std::vector<std::string> row;
    for (const std::string name : kColumns) {
      const ordered_json value = job.value(name, ordered_json());
      if (!for_people)
        row.push_back(cell_text(value, false));
      else if (name == "result")
        row.push_back(summary(value));
      else if (name == "eta_s" && value.is_number())
        row.push_back(short_duration(value.get<double>()));
      else if ((name == "percent" || name == "rate") && value.is_number())
        row.push_back(fixed(value.get<double>(), name == "percent" ? 1 : 0));
      else
        row.push_back(cell_text(value, true));
    }
    table.add(std::move(row));
  }
  return table;
}

void print_jobs(Context& context, const JobsOptions& options, const std::string& reply) {
  const ordered_json jobs = parse_json(reply)["jobs"];
  if (context.format() == Format::kTable && options.number)
    return context.print_fields(jobs.front().dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  context.print(jobs_table(jobs, context.format() == Format::kTable), reply);
  if (jobs.empty() && context.format() == Format::kTable)
    context.note("no jobs since the daemon started; `vsctl check` makes one");
}

Exit jobs(Context& context, const JobsOptions& options) {
  const bool redraw = options.watch && context.format() == Format::kTable && ::isatty(STDOUT_FILENO) == 1;
  for (;;) {
    const auto reply = context.call(options.request());
    if (!reply) return context.exit();
    const auto parsed = parse_jobs(*reply);
    if (!parsed.ok()) return context.fail(parsed.status());
    if (options.number && parsed->empty()) return context.fail({Code::kNotFound, "the daemon shows no such job"});
    if (redraw) context.print("\033[H\033[J");
    print_jobs(context, options, *reply);
    std::fflush(stdout);
    const bool running = std::any_of(parsed->begin(), parsed->end(), [](const Job& job) { return job.running(); });
    if (options.cancel && running) context.note("it ends as soon as its work sees that; `vsctl jobs` shows when");
    if (!options.watch || !running) return Exit::kOk;
    std::this_thread::sleep_for(kWatchInterval);
  }
}

}  // namespace

void add_jobs_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<JobsOptions>();
  CLI::App* command = app.add_subcommand("jobs", "Show the daemon's background jobs, or cancel one");
  command->add_option("N", options->number, "Only this one, with its whole result")->check(whole_number(1));
  auto* watch = command->add_flag("--watch", options->watch, "Show them again every second until none runs");
  command->add_option("--cancel", options->cancel, "Cancel this job")
      ->type_name("N")
      ->check(whole_number(1))
      ->excludes("N", watch);
  command->footer(
      "Examples:\n  vsctl jobs\n  vsctl jobs --watch\n  vsctl jobs 3 --output json\n  vsctl jobs --cancel 3");
  set_action(*command, context, [&context, options] { return jobs(context, *options); });
}

}  // namespace vs::cli
