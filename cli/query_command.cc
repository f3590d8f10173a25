#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/arguments.h"
#include "cli/array.h"
#include "cli/commands.h"
#include "cli/points.h"
#include "cli/show.h"

namespace vs::cli {
namespace {

// A picture of more images would be too large to look at.
constexpr size_t kPictureNeighboursMax = 120;

struct QueryOptions {
  std::string name;
  std::string id;
  VectorOptions vector;
  uint64_t k = limits::kKDefault;
  std::optional<uint64_t> ef;
  bool exact = false;
  std::optional<double> radius;
  bool explain = false;
  std::string picture;
  bool show = false;
  std::string shape;
  std::string labels;

  bool draws() const { return show || !picture.empty(); }
};

// What is known of the query itself.
struct Query {
  std::vector<float> vector;  // empty for a query by id whose picture is not wanted
  std::string label;
};

Result<std::string> label_in_file(const std::string& path, uint64_t row) {
  VS_ASSIGN_OR_RETURN(const Array labels, Array::open(path));
  if (labels.shape().size() != 1 || !labels.integers())
    return Status{Code::kBadRequest, path + ": expected labels, one integer a row"};
  VS_ASSIGN_OR_RETURN(const std::vector<int64_t> values, labels.all_integers());
  if (row >= values.size())
    return Status{Code::kBadArgument,
                  path + " has " + std::to_string(values.size()) + " labels, but --row is " + std::to_string(row)};
  return std::to_string(values[row]);
}

// Prints the error and returns nullopt with the exit code in `exit`.
std::optional<Query> resolve_query(Context& context, const QueryOptions& options, Exit& exit) {
  Query query;
  if (!options.id.empty()) {
    if (!options.draws()) return query;
    const auto reply = context.call("GET " + options.name + " " + protocol::quote_word(options.id) + " with=vector");
    if (!reply) {
      exit = context.exit();
      return std::nullopt;
    }
    auto point = parse_point(*reply);
    if (!point.ok()) {
      exit = context.fail(point.status());
      return std::nullopt;
    }
    return Query{std::move(point->vector), label_of(point->attributes)};
  }
  auto vector = read_vector(options.vector);
  auto label =
      options.labels.empty() ? Result<std::string>(std::string()) : label_in_file(options.labels, options.vector.row);
  if (!vector.ok() || !label.ok()) {
    exit = context.fail(vector.ok() ? label.status() : vector.status());
    return std::nullopt;
  }
  return Query{*std::move(vector), *std::move(label)};
}

std::string search_request(const QueryOptions& options, const Query& query) {
  std::string request = "SEARCH " + options.name + " ";
  request += options.id.empty() ? protocol::encode_vector(query.vector) : "id=" + protocol::quote_word(options.id);
  request += " k=" + std::to_string(options.k);
  if (options.ef) request += " ef=" + std::to_string(*options.ef);
  if (options.exact) request += " exact=true";
  if (options.radius) {
    request += " radius=";
    protocol::append_number(request, *options.radius);
  }
  request += options.draws() ? " with=attributes,vector" : " with=attributes";
  if (options.explain) request += " explain=true";
  return request;
}

Table matches_table(const std::vector<PointData>& matches, bool short_numbers) {
  Table table({{"rank", true}, {"id", false}, {"label", false}, {"distance", true}});
  for (size_t i = 0; i < matches.size(); ++i) {
    std::string distance;
    if (short_numbers)
      distance = fixed(static_cast<double>(matches[i].distance), 4);
    else
      protocol::append_number(distance, matches[i].distance);
    table.add({std::to_string(i + 1), matches[i].id, label_of(matches[i].attributes), distance});
  }
  return table;
}

// The reply as it came, save that vectors which only the picture needed are left out.
std::string reply_json(const PointsReply& reply) {
  std::string out = "{\"matches\":[";
  for (const PointData& match : reply.points) out += (&match == reply.points.data() ? "" : ",") + match.text;
  out += ']';
  if (reply.rest != "{}") out += ',';
  return out + reply.rest.substr(1);
}

Result<Gallery> make_gallery(Context& context, const QueryOptions& options, const Query& query,
                             const std::vector<PointData>& matches) {
  Gallery gallery;
  VS_ASSIGN_OR_RETURN(gallery.shape, image_shape(options.shape, query.vector.size()));
  gallery.items.push_back({query.vector, options.id, query.label, ""});
  for (const PointData& match : matches) {
    if (gallery.items.size() > kPictureNeighboursMax) {
      context.note("the picture shows the first " + std::to_string(kPictureNeighboursMax) + " neighbours");
      break;
    }
    if (match.vector.size() != query.vector.size())
      return Status{Code::kBadRequest, "expected the neighbours' vectors in the reply; this vsd does not send them"};
    gallery.items.push_back(
        {match.vector, match.id, label_of(match.attributes), fixed(static_cast<double>(match.distance), 4)});
  }
  return gallery;
}

void show(const Context& context, const Gallery& gallery) {
  // With JSON or CSV the standard output belongs to the data alone.
  const bool data_is_text = context.format() == Format::kTable;
  const std::string text = show_gallery(gallery, show_options(data_is_text ? STDOUT_FILENO : STDERR_FILENO));
  std::fputs(("\n" + text).c_str(), data_is_text ? stdout : stderr);
}

Exit query_collection(Context& context, const QueryOptions& options) {
  Exit exit = Exit::kOk;
  const auto query = resolve_query(context, options, exit);
  if (!query) return exit;
  if (options.draws()) {
    // Before the search, so that a wrong shape does not leave half of an answer.
    const auto shape = image_shape(options.shape, query->vector.size());
    if (!shape.ok()) return context.fail(shape.status());
  }
  const auto json = context.call(search_request(options, *query));
  if (!json) return context.exit();
  const auto reply = parse_points(*json, options.draws() ? PointText::kWithoutVector : PointText::kWhole);
  if (!reply.ok()) return context.fail(reply.status());
  Gallery gallery;
  if (options.draws()) {
    auto made = make_gallery(context, options, *query, reply->points);
    if (!made.ok()) return context.fail(made.status());
    gallery = *std::move(made);
  }
  // The file first: when it fails, there is an error and no output.
  if (!options.picture.empty()) {
    if (const Status status = draw_grid(gallery).write_png(options.picture); !status.ok()) return context.fail(status);
    context.note("wrote " + options.picture);
  }
  context.print(matches_table(reply->points, context.format() == Format::kTable), reply_json(*reply));
  if (options.explain && context.format() != Format::kJson) {
    const std::string text = "\n" + fields_table(parse_json(reply->rest), true).text();
    std::fputs(text.c_str(), context.format() == Format::kTable ? stdout : stderr);
  }
  if (options.show) show(context, gallery);
  return Exit::kOk;
}

std::string check_picture(const std::string& path) {
  if (path.size() > 4 && path.substr(path.size() - 4) == ".png") return {};
  return "expected a file name that ends in .png; got '" + path + "'";
}

}  // namespace

void add_query_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<QueryOptions>();
  CLI::App* command = app.add_subcommand("query", "Find the nearest neighbours of a vector or of a point");
  add_name(*command, options->name);
  auto* id = command->add_option("--id", options->id, "The query is this point's vector; the point itself is left out")
                 ->check([](const std::string& text) { return protocol::validate_id(text).message(); });
  add_vector_options(*command, options->vector);
  id->excludes("--vector")->excludes("--file");
  command->add_option("-k", options->k, "Neighbours")->check(whole_number(1, limits::kKMax))->capture_default_str();
  command->add_option("--ef", options->ef, "Candidates: more find better neighbours, slower (default the collection's)")
      ->check(whole_number(1, limits::kEfMax));
  command->add_flag("--exact", options->exact, "Compare with every point");
  command->add_option("--radius", options->radius, "Only neighbours at this distance or nearer")
      ->check(finite_number());
  command->add_flag("--explain", options->explain, "Show what the search did");
  command->add_option("--picture", options->picture, "Draw the query and its neighbours as a PNG file")
      ->check(check_picture);
  command->add_flag("--show", options->show, "Draw them in the terminal");
  command->add_option("--shape", options->shape, "Images are HEIGHTxWIDTH (default: square)");
  command->add_option("--labels", options->labels, "IDX or NPY file with the label of the query's row")
      ->needs("--file");
  command->footer(
      "Examples:\n  vsctl query fashion --id 18094 -k 5\n"
      "  vsctl query fashion --file t10k-images-idx3-ubyte.gz --row 0 --scale 1/255 --ef 128 --picture neighbours.png\n"
      "  vsctl query words --vector 0.1,0.7,0.2 --exact --output json");
  set_action(*command, context, [&context, options] {
    if (options->id.empty() && options->vector.vector.empty() && options->vector.file.empty())
      return context.fail({Code::kBadArgument, "give the query: --id ID, --vector V, or --file FILE --row N"});
    return query_collection(context, *options);
  });
}

}  // namespace vs::cli
