#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/job.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

struct CheckOptions {
  std::string name;  // empty: all collections
  bool all = false;
  bool deep = false;
  bool repair = false;

  std::string request(const std::string& collection) const {
    return "CHECK " + collection + (deep ? " deep=true" : "") + (repair ? " repair=true" : "");
  }
};

bool is_clean(const ordered_json& check) {
  const auto clean = check.find("clean");
  return clean != check.end() && clean->is_boolean() && clean->get<bool>();
}

// The result of a job as this command prints it: with the collection and the job's number in front.
ordered_json with_names(const Job& job) {
  ordered_json check = {{"collection", job.collection}, {"job", job.number}};
  for (const auto& [name, value] : job.result.items()) check[name] = value;
  return check;
}

const ordered_json& problems_of(const ordered_json& check) {
  static const ordered_json kNone = ordered_json::array();
  const auto problems = check.find("problems");
  return problems != check.end() && problems->is_array() ? *problems : kNone;
}

std::string field(const ordered_json& object, const char* name) {
  return object.is_object() ? cell_text(object.value(name, ordered_json()), false) : "";
}

// What was found: in tables a second table, with CSV on stderr, as a program reads the first table there.
void print_problems(Context& context, const std::vector<ordered_json>& checks) {
  Table table({{"collection"}, {"problem"}, {"detail"}});
  bool any = false;
  for (const ordered_json& check : checks) {
    for (const ordered_json& problem : problems_of(check)) {
      const std::string detail = field(problem, "detail");
      if (context.format() == Format::kTable) {
        any = true;
        table.add({field(check, "collection"), field(problem, "kind"), detail});
      } else {
        context.note(field(check, "collection") + ": " + field(problem, "kind") + ": " + detail);
      }
    }
  }
  if (any) context.print("\n" + table.text());
}

void print_checks(Context& context, const CheckOptions& options, const std::vector<ordered_json>& checks) {
  constexpr const char* kColumns[] = {"collection", "clean",         "points",  "slots", "problems_found",
                                      "repaired",   "problems_left", "rebuilt", "recall"};
  std::vector<Table::Column> columns;
  for (const char* name : kColumns) columns.push_back({name, columns.size() > 1 && std::string("rebuilt") != name});
  Table table(columns);
  bool clean = true;
  for (const ordered_json& check : checks) {
    clean = clean && is_clean(check);
    std::vector<std::string> row;
    for (const char* name : kColumns)
      row.push_back(cell_text(check.value(name, ordered_json()), context.format() == Format::kTable));
    table.add(std::move(row));
  }
  const ordered_json json =
      !options.name.empty() ? checks.front() : ordered_json{{"clean", clean}, {"checks", ordered_json(checks)}};
  context.print(table, json.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  if (context.format() == Format::kJson) return;
  print_problems(context, checks);
  for (const ordered_json& check : checks) {
    const std::string left = field(check, "problems_left");
    const std::string shown = std::to_string(problems_of(check).size());
    if (left != shown) context.note(field(check, "collection") + ": " + shown + " of " + left + " problems are shown");
    if (!options.repair && !is_clean(check))
      context.note("mend it with `vsctl check " + field(check, "collection") + (options.deep ? " --deep" : "") +
                   " --repair`");
  }
}

// Prints the error and returns nullopt with the exit code in `exit`.
std::optional<std::vector<std::string>> names_to_check(Context& context, const CheckOptions& options, Exit& exit) {
  if (!options.name.empty()) return std::vector{options.name};
  const auto reply = context.call("LIST");
  if (!reply) {
    exit = context.exit();
    return std::nullopt;
  }
  const ordered_json json = parse_json(*reply);
  std::vector<std::string> names;
  if (json.is_object())
    for (const ordered_json& collection : json.value("collections", ordered_json::array()))
      names.push_back(field(collection, "name"));
  return names;
}

Exit check(Context& context, const CheckOptions& options) {
  Exit failure = Exit::kOk;
  const auto names = names_to_check(context, options, failure);
  if (!names) return failure;
  const Interrupt interrupt;
  std::vector<ordered_json> checks;
  bool clean = true;
  for (const std::string& name : *names) {
    if (Interrupt::requested()) {
      context.note("stopped before the check of '" + name + "'");
      failure = Exit::kFailure;
      break;
    }
    Exit exit = Exit::kOk;
    const auto job = run_job(context, options.request(name), "checking " + name, exit);
    if (job && job->state == "done") {
      checks.push_back(with_names(*job));
      clean = clean && is_clean(checks.back());
      continue;
    }
    if (job && job->state == "failed") {
      exit = context.fail(job_error(*job));
    } else if (job) {
      context.note("the check of '" + name + "' was cancelled on the server (job " + std::to_string(job->number) + ")");
      exit = Exit::kFailure;
    }
    if (failure == Exit::kOk) failure = exit;
    // Without a connection the others would fare no better.
    if (exit == Exit::kUnreachable) break;
  }
  if (!checks.empty() || (failure == Exit::kOk && options.name.empty())) print_checks(context, options, checks);
  return clean ? failure : Exit::kCorruption;
}

}  // namespace

void add_check_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* command = app.add_subcommand("check", "Look for damage in collections, and mend it");
  add_name(*command, options->name)->required(false)->description("The collection (default: all)");
  command->add_flag("--all", options->all, "All collections, as without NAME")->excludes("NAME");
  command->add_flag("--deep", options->deep, "Read all vectors and records, too, and measure recall");
  command->add_flag("--repair", options->repair, "Mend what is found; writes to the collection wait meanwhile");
  command->footer(
      "Waits for the check, which the daemon makes in the background; Ctrl-C cancels it there. The exit code is 5 if\n"
      "problems were found and not mended.\n\n"
      "Examples:\n"
      "  vsctl check fashion\n"
      "  vsctl check --all --deep\n"
      "  vsctl check fashion --deep --repair");
  set_action(*command, context, [&context, options] { return check(context, *options); });
}

}  // namespace vs::cli
