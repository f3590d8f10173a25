#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "cli/arguments.h"
#include "cli/commands.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

Exit ping(Context& context) {
  if (!context.call("PING")) return context.exit();
  // The first call paid for the connection; the second one shows the daemon's answer time.
  const auto start = std::chrono::steady_clock::now();
  if (!context.call("PING")) return context.exit();
  const double ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  const std::string& address = context.settings.address();
  if (context.format() == Format::kTable) {
    context.print("ok  " + address + "  " + fixed(ms, 2) + " ms\n");
    return Exit::kOk;
  }
  Table table({{"server"}, {"ms", true}});
  table.add({address, fixed(ms, 3)});
  context.print(table, ordered_json::object({{"server", address}, {"ms", ms}}).dump());
  return Exit::kOk;
}

Exit print_reply(Context& context, const std::string& request) {
  const auto reply = context.call(request);
  if (!reply) return context.exit();
  context.print_fields(*reply);
  return Exit::kOk;
}

Exit list(Context& context) {
  const auto reply = context.call("LIST");
  if (!reply) return context.exit();
  const ordered_json json = parse_json(*reply);
  const ordered_json collections = json.is_object() ? json.value("collections", ordered_json::array()) : ordered_json();
  // The columns are what the daemon tells about a collection, in its order; it tells an error about one that it could
  // not open.
  std::vector<Table::Column> columns;
  for (const auto& collection : collections) {
    if (!collection.is_object()) continue;
    for (const auto& item : collection.items()) {
      const auto known = [&item](const Table::Column& column) { return column.name == item.key(); };
      if (std::none_of(columns.begin(), columns.end(), known))
        columns.push_back({item.key(), item.value().is_number()});
    }
  }
  if (columns.empty()) columns = {{"name"}};
  Table table(columns);
  for (const auto& collection : collections) {
    if (!collection.is_object()) continue;
    std::vector<std::string> row;
    row.reserve(columns.size());
    for (const auto& column : columns)
      row.push_back(cell_text(collection.value(column.name, ordered_json()), context.format() == Format::kTable));
    table.add(std::move(row));
  }
  context.print(table, *reply);
  if (collections.empty() && context.format() == Format::kTable)
    context.note("no collections yet; make one with `vsctl create NAME --dim N` or `vsctl import`");
  return Exit::kOk;
}

Exit create(Context& context, const std::string& name, uint64_t dim, const CreateOptions& options) {
  std::string request = "CREATE " + name + " dim=" + std::to_string(dim);
  request += options.request_text();
  return print_reply(context, request);
}

// True to go on; prints why not otherwise.
bool confirm_drop(Context& context, const std::string& name) {
  if (!can_ask(context, "drop deletes all points of '" + name + "'")) return false;
  const auto stats = context.call("STATS " + name);
  if (!stats) return false;
  const ordered_json json = parse_json(*stats);
  const std::string live = json.is_object() ? cell_text(json.value("live", ordered_json()), true) : "";
  return ask(context, "Drop collection '" + name + "' with its " + live + " points?");
}

Exit drop(Context& context, const std::string& name, bool yes) {
  if (!yes && !confirm_drop(context, name)) {
    if (context.exit() != Exit::kOk) return context.exit();
    return ::isatty(STDIN_FILENO) == 1 ? Exit::kFailure : Exit::kUsage;
  }
  if (!context.call("DROP " + name)) return context.exit();
  if (context.format() == Format::kTable) {
    context.print("dropped " + name + "\n");
    return Exit::kOk;
  }
  Table table({{"dropped"}});
  table.add({name});
  context.print(table, ordered_json::object({{"dropped", name}}).dump());
  return Exit::kOk;
}

void add_simple(CLI::App& app, Context& context, const char* name, const char* help, std::function<Exit()> run) {
  CLI::App* command = app.add_subcommand(name, help);
  command->footer(std::string("Example:\n  vsctl ") + name);
  set_action(*command, context, std::move(run));
}

void add_stats(CLI::App& app, Context& context) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("stats", "Show a collection's settings, size and state");
  add_name(*command, *name);
  command->footer("Examples:\n  vsctl stats fashion\n  vsctl stats fashion --output json");
  set_action(*command, context, [&context, name] { return print_reply(context, "STATS " + *name); });
}

void add_create(CLI::App& app, Context& context) {
  struct Options {
    std::string name;
    uint64_t dim = 0;
    CreateOptions settings;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("create", "Create a collection");
  add_name(*command, options->name);
  command->add_option("--dim", options->dim, "Numbers in a vector")
      ->required()
      ->check(whole_number(1, limits::kDimMax));
  add_create_options(*command, options->settings);
  command->footer("Examples:\n  vsctl create fashion --dim 784\n  vsctl create words --dim 300 --metric cosine --m 24");
  set_action(*command, context,
             [&context, options] { return create(context, options->name, options->dim, options->settings); });
}

void add_alter(CLI::App& app, Context& context) {
  struct Options {
    std::string name;
    uint64_t ef_search = 0;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("alter", "Change a collection's ef_search, for new searches at once");
  add_name(*command, options->name);
  command->add_option("--ef-search", options->ef_search, "Candidates of a search that names no ef")
      ->required()
      ->check(whole_number(1, limits::kEfMax));
  command->footer(
      "`vsctl tune` finds a value for a recall. Other settings need another graph: see `vsctl rebuild`.\n\n"
      "Example:\n  vsctl alter fashion --ef-search 128");
  set_action(*command, context, [&context, options] {
    return print_reply(context, "ALTER " + options->name + " ef_search=" + std::to_string(options->ef_search));
  });
}

void add_drop(CLI::App& app, Context& context) {
  struct Options {
    std::string name;
    bool yes = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("drop", "Delete a collection and all its points");
  add_name(*command, options->name);
  command->add_flag("--yes,-y", options->yes, "Do not ask (needed where there is no terminal)");
  command->footer("Examples:\n  vsctl drop fashion\n  vsctl drop fashion --yes");
  set_action(*command, context, [&context, options] { return drop(context, options->name, options->yes); });
}

}  // namespace

void add_collection_commands(CLI::App& app, Context& context) {
  add_simple(app, context, "ping", "Ask whether the daemon answers", [&context] { return ping(context); });
  add_simple(app, context, "info", "Show the daemon's version and state",
             [&context] { return print_reply(context, "INFO"); });
  add_simple(app, context, "list", "List the collections", [&context] { return list(context); });
  add_stats(app, context);
  add_create(app, context);
  add_alter(app, context);
  add_drop(app, context);
  add_simple(app, context, "checkpoint", "Bring the mapped files to disk, so that the next start has little to replay",
             [&context] { return print_reply(context, "CHECKPOINT"); });
}

}  // namespace vs::cli
