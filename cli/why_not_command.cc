#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/points.h"
#include "cli/why_not.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

struct WhyNotOptions {
  std::string name;
  WhyNotQuestion question;
  VectorOptions vector;

  WhyNotOptions() { question.k = limits::kKDefault; }
};

std::string search_request(const WhyNotOptions& options, const WhyNotSearch& search, const std::string& vector,
                           const std::string& own_vector) {
  const std::string& query_id = options.question.query_id;
  std::string request = "SEARCH " + options.name + " ";
  if (search.by_own_vector)
    request += own_vector;
  else
    request += query_id.empty() ? vector : "id=" + protocol::quote_word(query_id);
  request += " k=" + std::to_string(search.k) + " explain=true";
  if (search.exact) request += " exact=true";
  if (search.ef) request += " ef=" + std::to_string(*search.ef);
  return request;
}

Result<WhyNotFound> parse_found(std::string_view json) {
  VS_ASSIGN_OR_RETURN(const PointsReply reply, parse_points(json));
  WhyNotFound found;
  for (const PointData& match : reply.points) {
    found.ids.push_back(match.id);
    found.distances.push_back(match.distance);
  }
  const ordered_json rest = parse_json(reply.rest);
  const ordered_json explain = rest.is_object() ? rest.value("explain", ordered_json()) : ordered_json();
  const ordered_json ef = explain.is_object() ? explain.value("ef", ordered_json()) : ordered_json();
  const ordered_json fell_back = explain.is_object() ? explain.value("fell_back", ordered_json()) : ordered_json();
  if (!ef.is_number_unsigned() || ef == 0 || !fell_back.is_boolean())
    return Status{Code::kBadRequest, "expected ef and fell_back in the reply's explain; this vsd is older than vsctl"};
  found.ef = ef.get<uint64_t>();
  found.fell_back = fell_back.get<bool>();
  return found;
}

ordered_json answer_json(const WhyNotOptions& options, const WhyNotAnswer& answer) {
  const auto value_or_null = [](const auto& value) { return value ? ordered_json(*value) : ordered_json(); };
  const auto distance = [](const std::optional<float>& value) {
    if (!value) return ordered_json();
    // In the float's own shortest form.
    std::string text;
    protocol::append_number(text, *value);
    return parse_json(text);
  };
  return {{"collection", options.name},
          {"id", options.question.id},
          {"verdict", verdict_name(answer.verdict)},
          {"k", answer.k},
          {"ef", answer.ef == 0 ? ordered_json() : ordered_json(answer.ef)},
          {"fell_back", answer.fell_back},
          {"rank", value_or_null(answer.rank)},
          {"true_rank", value_or_null(answer.true_rank)},
          {"distance", distance(answer.distance)},
          {"kth_distance", distance(answer.kth_distance)},
          {"tie", answer.tie},
          {"found_with_ef", value_or_null(answer.found_with_ef)},
          {"not_with_ef", answer.not_with_ef == 0 ? ordered_json() : ordered_json(answer.not_with_ef)},
          {"text", answer.text(options.question, options.name)}};
}

Exit explain_absence(Context& context, const WhyNotOptions& options) {
  std::string vector;
  if (options.question.query_id.empty()) {
    const auto read = read_vector(options.vector);
    if (!read.ok()) return context.fail(read.status());
    vector = protocol::encode_vector(*read);
  }
  // So that what is not found below is the point.
  if (!context.call("STATS " + options.name)) return context.exit();
  const auto reply =
      context.try_call("GET " + options.name + " " + protocol::quote_word(options.question.id) + " with=vector");
  if (!reply) return context.exit();
  if (!reply->ok()) {
    const Exit exit = context.fail(reply->status());
    if (reply->status().code() == Code::kNotFound)
      context.note("a search finds only what is there: was the point deleted, or never added?");
    return exit;
  }
  const auto point = parse_point(**reply);
  if (!point.ok()) return context.fail(point.status());
  const std::string own_vector = protocol::encode_vector(point->vector);

  Exit exit = Exit::kOk;
  const auto search = [&](const WhyNotSearch& wanted) -> std::optional<WhyNotFound> {
    const auto json = context.call(search_request(options, wanted, vector, own_vector));
    if (!json) {
      exit = context.exit();
      return std::nullopt;
    }
    auto found = parse_found(*json);
    if (found.ok()) return *std::move(found);
    exit = context.fail(found.status());
    return std::nullopt;
  };
  const auto answer = why_not(options.question, search);
  if (!answer) return exit;
  const ordered_json json = answer_json(options, *answer);
  if (context.format() == Format::kTable)
    context.print(printable(answer->text(options.question, options.name)) + "\n");
  else
    context.print_fields(json.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  return Exit::kOk;
}

}  // namespace

void add_why_not_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<WhyNotOptions>();
  const auto check_id = [](const std::string& text) { return protocol::validate_id(text).message(); };
  CLI::App* command = app.add_subcommand("why-not", "Say why a point is not among the results of a query");
  add_name(*command, options->name);
  command->add_option("ID", options->question.id, "The point that was expected")->required()->check(check_id);
  auto* id =
      command->add_option("--id", options->question.query_id, "The query is this point's vector")->check(check_id);
  add_vector_options(*command, options->vector);
  id->excludes("--vector")->excludes("--file");
  command->add_option("-k", options->question.k, "Neighbours")
      ->check(whole_number(1, limits::kKMax))
      ->capture_default_str();
  command->add_option("--ef", options->question.ef, "Candidates, as in the query (default the collection's)")
      ->check(whole_number(1, limits::kEfMax));
  command->footer(
      "The answer is one of: it is among the results; k points are nearer; ef was too small, and which one finds it; "
      "no\n"
      "search comes upon it, so links are missing. It is found by searching exactly, and with ef doubled up to "
      "10,000.\n\n"
      "Examples:\n"
      "  vsctl why-not fashion 18094 --id 7 -k 10\n"
      "  vsctl why-not fashion 18094 --file t10k-images-idx3-ubyte.gz --row 0 --scale 1/255 -k 10 --ef 16");
  set_action(*command, context, [&context, options] {
    if (options->question.query_id.empty() && !options->vector.given())
      return context.fail({Code::kBadArgument, "give the query: --id ID, --vector V, or --file FILE --row N"});
    return explain_absence(context, *options);
  });
}

}  // namespace vs::cli
