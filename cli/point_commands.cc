#include <algorithm>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/points.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

std::string check_id(const std::string& text) { return protocol::validate_id(text).message(); }

// A JSON object in one line: between values a line break is only space, and inside a string it would not be valid.
Result<std::string> one_line_object(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  text.erase(0, std::min(text.find_first_not_of(' '), text.size()));
  const auto kind = text.substr(0, 1) == "{" ? protocol::Value::Kind::kObject : protocol::Value::Kind::kBare;
  auto checked = protocol::read_attributes({kind, text});
  if (!checked.ok()) return Status{Code::kBadArgument, "--attributes: " + checked.status().message()};
  return text;
}

struct AddOptions {
  std::string name;
  std::string id;
  VectorOptions vector;
  std::string attributes;
  std::string condition;
};

Exit add(Context& context, const AddOptions& options) {
  if (!options.vector.given())
    return context.fail({Code::kBadArgument, "give the vector: --vector V, or --file FILE --row N"});
  const auto vector = read_vector(options.vector);
  if (!vector.ok()) return context.fail(vector.status());
  std::string request = "ADD " + options.name + " " + protocol::quote_word(options.id) + " ";
  request += protocol::encode_vector(*vector);
  if (!options.attributes.empty()) {
    const auto attributes = one_line_object(options.attributes);
    if (!attributes.ok()) return context.fail(attributes.status());
    request += " " + *attributes;
  }
  if (!options.condition.empty()) request += " if=" + options.condition;
  const auto reply = context.call(request);
  if (!reply) return context.exit();
  if (context.format() != Format::kTable) {
    context.print_fields(*reply);
    return Exit::kOk;
  }
  const ordered_json json = parse_json(*reply);
  const bool created = !json.is_object() || json.value("created", ordered_json(true)) == true;
  context.print((created ? "added " : "replaced ") + printable(options.id) + "\n");
  return Exit::kOk;
}

void add_add(CLI::App& app, Context& context) {
  auto options = std::make_shared<AddOptions>();
  CLI::App* command = app.add_subcommand("add", "Add a point, or replace the one with that id");
  add_name(*command, options->name);
  command->add_option("ID", options->id, "The point's id")->required()->check(check_id);
  add_vector_options(*command, options->vector);
  command->add_option("--attributes", options->attributes, "A JSON object");
  command->add_option("--if", options->condition, "Only if the id is absent, or present")
      ->check(CLI::IsMember({"absent", "present"}));
  command->footer(
      "Examples:\n  vsctl add words cat --vector 0.1,0.7,0.2 --attributes '{\"label\":\"animal\"}'\n"
      "  vsctl add fashion shoe-1 --file t10k-images-idx3-ubyte.gz --row 0 --scale 1/255 --if absent");
  set_action(*command, context, [&context, options] { return add(context, *options); });
}

struct GetOptions {
  std::string name;
  std::string id;
  bool with_vector = false;
};

Exit get(Context& context, const GetOptions& options) {
  const auto reply = context.call("GET " + options.name + " " + protocol::quote_word(options.id) +
                                  (options.with_vector ? " with=vector" : ""));
  if (!reply) return context.exit();
  const auto point = parse_point(*reply);
  if (!point.ok()) return context.fail(point.status());
  // Not print_fields: attributes are one JSON object of the user's, and its numbers stay as they were given.
  Table table({{"field"}, {"value"}}, /*header=*/false);
  table.add({"id", point->id});
  table.add({"attributes", point->attributes});
  if (options.with_vector) {
    std::string vector;
    protocol::append_vector(vector, point->vector);
    table.add({"vector", vector});
  }
  context.print(table, *reply);
  return Exit::kOk;
}

void add_get(CLI::App& app, Context& context) {
  auto options = std::make_shared<GetOptions>();
  CLI::App* command = app.add_subcommand("get", "Show a point");
  add_name(*command, options->name);
  command->add_option("ID", options->id, "The point's id")->required()->check(check_id);
  command->add_flag("--with-vector", options->with_vector, "Its vector, too");
  command->footer("Examples:\n  vsctl get fashion 18094\n  vsctl get fashion 18094 --with-vector --output json");
  set_action(*command, context, [&context, options] { return get(context, *options); });
}

struct DeleteOptions {
  std::string name;
  std::vector<std::string> ids;
};

Exit remove(Context& context, const DeleteOptions& options) {
  std::string request = "DEL " + options.name;
  for (const std::string& id : options.ids) request += " " + protocol::quote_word(id);
  const auto reply = context.call(request);
  if (!reply) return context.exit();
  const ordered_json json = parse_json(*reply);
  const ordered_json missing = json.is_object() ? json.value("missing", ordered_json::array()) : ordered_json::array();
  for (const auto& id : missing)
    context.note("no point '" + cell_text(id, false) + "' in " + options.name + "; it was not deleted");
  const ordered_json deleted = json.is_object() ? json.value("deleted", ordered_json(0)) : ordered_json(0);
  const bool none = deleted == 0 && !missing.empty();
  // In a table "deleted 0" would say less than the lines above.
  if (context.format() != Format::kTable)
    context.print_fields(*reply);
  else if (!none)
    context.print("deleted " + cell_text(deleted, false) + "\n");
  if (none) return Exit::kNotFound;
  return missing.empty() ? Exit::kOk : Exit::kPartly;
}

void add_delete(CLI::App& app, Context& context) {
  auto options = std::make_shared<DeleteOptions>();
  CLI::App* command = app.add_subcommand("delete", "Delete points");
  add_name(*command, options->name);
  const auto* ids = command->add_option("ID", options->ids, "The points' ids")->required()->check(check_id);
  command->footer("Examples:\n  vsctl delete fashion 18094\n  vsctl delete fashion 1 2 3");
  set_action(*command, context, [&context, options, ids] {
    options->ids = ids->results();  // CLI11 2.4 takes the one id {} for an empty list
    return remove(context, *options);
  });
}

struct ScanOptions {
  std::string name;
  uint64_t limit = limits::kScanLimitDefault;
  std::string cursor;
  bool all = false;
  std::string with = "attributes";
};

std::string check_with(const std::string& text) {
  if (text == "none") return {};
  // The comma at the end is the last word's.
  const std::string words = text + ",";
  for (size_t begin = 0; begin < words.size();) {
    const size_t end = words.find(',', begin);
    const std::string word = words.substr(begin, end - begin);
    if (word != "vector" && word != "attributes" && word != "links")
      return "expected one or more of vector, attributes and links, with commas between them, or none alone; got '" +
             text + "'";
    begin = end + 1;
  }
  return {};
}

// Prints pages as they come, so that a scan of any size needs little memory and `head` ends it early.
class ScanPrinter {
 public:
  ScanPrinter(Context& context, const std::string& with)
      : context_(context),
        attributes_(with.find("attributes") != std::string::npos),
        vector_(with.find("vector") != std::string::npos),
        links_(with.find("links") != std::string::npos) {}

  void print(const std::vector<PointData>& points) {
    if (context_.format() == Format::kJson) {
      for (const PointData& point : points) {
        context_.print(first_ ? "{\"points\":[" : ",");
        context_.print(point.text);
        first_ = false;
      }
      return;
    }
    const bool is_table = context_.format() == Format::kTable;
    Table table(columns(), /*header=*/first_ || !is_table);
    for (const PointData& point : points) table.add(row(point));
    if (is_table) {
      // A later page goes on below the earlier ones, in their columns as far as its values fit in.
      table.widen(widths_);
      widths_ = table.widths();
      context_.print(table.text());
    } else {
      const std::string csv = table.csv();
      context_.print(first_ ? csv : csv.substr(csv.find('\n') + 1));
    }
    first_ = false;
  }

  void finish(const ordered_json& cursor) {
    if (context_.format() == Format::kJson)
      return context_.print(std::string(first_ ? "{\"points\":[" : "") + "],\"cursor\":" + cursor.dump() + "}\n");
    if (!cursor.is_null()) context_.note("there is more: --cursor " + cell_text(cursor, false) + ", or --all");
  }

 private:
  std::vector<Table::Column> columns() const {
    std::vector<Table::Column> out = {{"id"}};
    if (attributes_) out.push_back({"attributes"});
    if (vector_) out.push_back({"vector"});
    if (links_) out.push_back({"links"});
    return out;
  }
  std::vector<std::string> row(const PointData& point) const {
    std::vector<std::string> out = {point.id};
    if (attributes_) out.push_back(point.attributes);
    if (vector_) protocol::append_vector(out.emplace_back(), point.vector);
    if (links_) out.push_back(ordered_json(point.links).dump(-1, ' ', false, ordered_json::error_handler_t::replace));
    return out;
  }

  Context& context_;
  const bool attributes_;
  const bool vector_;
  const bool links_;
  std::vector<size_t> widths_;
  bool first_ = true;
};

Exit scan(Context& context, const ScanOptions& options) {
  constexpr uint64_t kPage = 1000;
  const PointText text = context.format() == Format::kJson ? PointText::kWhole : PointText::kNone;
  ScanPrinter printer(context, options.with);
  ordered_json cursor = options.cursor.empty() ? ordered_json() : ordered_json(options.cursor);
  uint64_t left = options.all ? UINT64_MAX : options.limit;
  for (;;) {
    std::string request = "SCAN " + options.name + " limit=" + std::to_string(std::min(left, kPage));
    if (options.with != "none") request += " with=" + options.with;
    if (!cursor.is_null()) request += " cursor=" + protocol::quote_word(cell_text(cursor, false));
    const auto reply = context.call(request);
    if (!reply) return context.exit();
    const auto page = parse_points(*reply, text);
    if (!page.ok()) return context.fail(page.status());
    printer.print(page->points);
    left -= std::min<uint64_t>(left, page->points.size());
    cursor = parse_json(page->rest).value("cursor", ordered_json());
    if (cursor.is_null() || left == 0) break;
  }
  printer.finish(cursor);
  return Exit::kOk;
}

void add_scan(CLI::App& app, Context& context) {
  auto options = std::make_shared<ScanOptions>();
  CLI::App* command = app.add_subcommand("scan", "List points, oldest change first");
  add_name(*command, options->name);
  command->add_option("--limit", options->limit, "So many points at most")
      ->check(whole_number(1))
      ->capture_default_str();
  command->add_option("--cursor", options->cursor, "Go on where an earlier scan stopped");
  command->add_flag("--all", options->all, "All points to the end")->excludes("--limit");
  command->add_option("--with", options->with, "What to show: vector, attributes, links (with commas), or none")
      ->check(check_with)
      ->capture_default_str();
  command->footer(
      "Examples:\n  vsctl scan fashion --limit 5\n  vsctl scan fashion --all --with none --output csv > ids.csv");
  set_action(*command, context, [&context, options] { return scan(context, *options); });
}

}  // namespace

void add_point_commands(CLI::App& app, Context& context) {
  add_add(app, context);
  add_get(app, context);
  add_delete(app, context);
  add_scan(app, context);
}

}  // namespace vs::cli
