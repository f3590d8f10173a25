#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/arguments.h"
#include "cli/array.h"
#include "cli/commands.h"
#include "cli/explain.h"
#include "cli/file.h"
#include "cli/points.h"
#include "cli/show.h"

namespace vs::cli {
namespace {

// A picture of more images would be too large to look at.
constexpr size_t kPictureNeighboursMax = 120;
// All replies are kept until the last one is there.
constexpr uint64_t kMatchesMax = 1'000'000;

struct QueryOptions {
  std::string name;
  std::vector<std::string> ids;
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
  size_t queries() const { return ids.empty() ? vector.row_numbers().size() : ids.size(); }
};

// What is known of a query, and the reply to it.
struct Query {
  std::string id;             // empty: it is no point
  std::string row;            // of the file; empty: it is from none
  std::vector<float> vector;  // empty for a query by id whose picture is not wanted
  std::string label;
  PointsReply reply;

  const std::string& name() const { return row.empty() ? id : row; }
};

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() > end.size() && text.substr(text.size() - end.size()) == end;
}

Result<std::vector<std::string>> labels_in_file(const std::string& path, const std::vector<uint64_t>& rows) {
  VS_ASSIGN_OR_RETURN(const Array labels, Array::open(path));
  if (labels.shape().size() != 1 || !labels.integers())
    return Status{Code::kBadRequest, path + ": expected labels, one integer a row"};
  VS_ASSIGN_OR_RETURN(const std::vector<int64_t> values, labels.all_integers());
  std::vector<std::string> out;
  for (const uint64_t row : rows) {
    if (row >= values.size())
      return Status{Code::kBadArgument,
                    path + " has " + std::to_string(values.size()) + " labels, but --row is " + std::to_string(row)};
    out.push_back(std::to_string(values[row]));
  }
  return out;
}

Result<std::vector<Query>> queries_by_vector(const QueryOptions& options) {
  VS_ASSIGN_OR_RETURN(auto vectors, read_vectors(options.vector));
  std::vector<Query> queries(vectors.size());
  for (size_t i = 0; i < vectors.size(); ++i) queries[i].vector = std::move(vectors[i]);
  if (options.vector.file.empty()) return queries;
  const std::vector<uint64_t> rows = options.vector.row_numbers();
  for (size_t i = 0; i < rows.size(); ++i) queries[i].row = std::to_string(rows[i]);
  if (options.labels.empty()) return queries;
  VS_ASSIGN_OR_RETURN(const auto labels, labels_in_file(options.labels, rows));
  for (size_t i = 0; i < labels.size(); ++i) queries[i].label = labels[i];
  return queries;
}

// Prints the error and returns nullopt with the exit code in `exit`.
std::optional<std::vector<Query>> resolve_queries(Context& context, const QueryOptions& options, Exit& exit) {
  if (options.ids.empty()) {
    auto queries = queries_by_vector(options);
    if (queries.ok()) return *std::move(queries);
    exit = context.fail(queries.status());
    return std::nullopt;
  }
  std::vector<Query> queries;
  for (const std::string& id : options.ids) {
    Query& query = queries.emplace_back();
    query.id = id;
    if (!options.draws()) continue;
    const auto reply = context.call("GET " + options.name + " " + protocol::quote_word(id) + " with=vector");
    if (!reply) {
      exit = context.exit();
      return std::nullopt;
    }
    auto point = parse_point(*reply);
    if (!point.ok()) {
      exit = context.fail(point.status());
      return std::nullopt;
    }
    query.vector = std::move(point->vector);
    query.label = label_of(point->attributes);
  }
  return queries;
}

std::string search_request(const QueryOptions& options, const Query& query) {
  std::string request = "SEARCH " + options.name + " ";
  request += query.id.empty() ? protocol::encode_vector(query.vector) : "id=" + protocol::quote_word(query.id);
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

// Several queries have a column of their own, which names the point or the row.
Table matches_table(const std::vector<Query>& queries, bool short_numbers) {
  const bool several = queries.size() > 1;
  std::vector<Table::Column> columns = {{"rank", true}, {"id", false}, {"label", false}, {"distance", true}};
  if (several) columns.insert(columns.begin(), {"query", queries.front().id.empty()});
  Table table(std::move(columns));
  for (const Query& query : queries) {
    const std::vector<PointData>& matches = query.reply.points;
    for (size_t i = 0; i < matches.size(); ++i) {
      std::string distance;
      if (short_numbers)
        distance = fixed(static_cast<double>(matches[i].distance), 4);
      else
        protocol::append_number(distance, matches[i].distance);
      std::vector<std::string> row = {std::to_string(i + 1), matches[i].id, label_of(matches[i].attributes), distance};
      if (several) row.insert(row.begin(), query.name());
      table.add(std::move(row));
    }
  }
  return table;
}

// The members of the reply as it came, save that vectors which only the picture needed are left out.
std::string reply_members(const PointsReply& reply) {
  std::string out = "\"matches\":[";
  for (const PointData& match : reply.points) out += (&match == reply.points.data() ? "" : ",") + match.text;
  out += ']';
  if (reply.rest != "{}") out += ',';
  return out + reply.rest.substr(1);
}

std::string replies_json(const std::vector<Query>& queries) {
  if (queries.size() == 1) return "{" + reply_members(queries.front().reply);
  std::string out = "{\"queries\":[";
  for (const Query& query : queries) {
    out += &query == queries.data() ? "{" : ",{";
    if (query.row.empty()) {
      out += "\"id\":";
      protocol::append_string(out, query.id);
    } else {
      out += "\"row\":" + query.row;
    }
    out += "," + reply_members(query.reply);
  }
  return out + "]}";
}

Result<Gallery> make_gallery(Context& context, const ImageShape& shape, std::vector<Query>& queries) {
  Gallery gallery;
  gallery.shape = shape;
  bool cut = false;
  for (Query& query : queries) {
    GalleryQuery& drawn = gallery.queries.emplace_back();
    drawn.item = {std::move(query.vector), query.id, query.row, query.label, ""};
    for (PointData& match : query.reply.points) {
      if (drawn.neighbours.size() == kPictureNeighboursMax) {
        cut = true;
        break;
      }
      if (match.vector.size() != shape.numbers())
        return Status{Code::kBadRequest, "expected the neighbours' vectors in the reply; this vsd does not send them"};
      drawn.neighbours.push_back({std::move(match.vector), match.id, "", label_of(match.attributes),
                                  fixed(static_cast<double>(match.distance), 4)});
    }
  }
  if (cut) context.note("the picture shows the first " + std::to_string(kPictureNeighboursMax) + " neighbours");
  return gallery;
}

Status write_picture(const Gallery& gallery, const QueryOptions& options) {
  std::string bytes;
  if (ends_with(options.picture, ".html")) {
    std::string description = "The " + std::to_string(options.k) + " nearest points of each query";
    if (options.exact) description += ", by exact search";
    if (!options.exact && options.ef) description += ", with ef " + std::to_string(*options.ef);
    bytes = gallery_page(gallery, "Nearest neighbours in " + options.name, description);
  } else {
    VS_ASSIGN_OR_RETURN(const Picture sheet, draw_sheet(gallery));
    bytes = sheet.png();
  }
  VS_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(options.picture));
  VS_RETURN_IF_ERROR(file.write(bytes));
  return file.commit();
}

void show(const Context& context, const Gallery& gallery) {
  // With JSON or CSV the standard output belongs to the data alone.
  const bool data_is_text = context.format() == Format::kTable;
  const std::string text = show_gallery(gallery, show_options(data_is_text ? STDOUT_FILENO : STDERR_FILENO));
  std::fputs(("\n" + text).c_str(), data_is_text ? stdout : stderr);
}

void print_explain(const Context& context, const std::vector<Query>& queries) {
  for (const Query& query : queries) {
    std::string text = "\n";
    if (queries.size() > 1) text += "query " + printable(query.name()) + "\n";
    const nlohmann::ordered_json rest = parse_json(query.reply.rest);
    text += explain_table(rest.is_object() ? rest.value("explain", nlohmann::ordered_json()) : rest).text();
    std::fputs(text.c_str(), context.format() == Format::kTable ? stdout : stderr);
  }
}

Status check_amount(const QueryOptions& options, const std::optional<ImageShape>& shape) {
  const uint64_t queries = options.queries();
  if (queries > 1 && queries * options.k > kMatchesMax)
    return {Code::kBadArgument, std::to_string(queries) + " queries with -k " + std::to_string(options.k) +
                                    " have more than a million neighbours; ask for fewer at a time"};
  const uint64_t images = queries * (1 + std::min<uint64_t>(options.k, kPictureNeighboursMax));
  if (shape && images * shape->pixels() > kPicturePixelsMax)
    return {Code::kBadArgument, std::to_string(images) + " images of " + std::to_string(shape->pixels()) +
                                    " pixels are too many for one picture; ask for fewer neighbours or queries"};
  return {};
}

Exit query_collection(Context& context, const QueryOptions& options) {
  if (const Status status = check_amount(options, std::nullopt); !status.ok()) return context.fail(status);
  Exit exit = Exit::kOk;
  auto queries = resolve_queries(context, options, exit);
  if (!queries) return exit;
  std::optional<ImageShape> shape;
  if (options.draws()) {
    // Before the search, so that a wrong shape does not leave half of an answer.
    const auto found = image_shape(options.shape, queries->front().vector.size());
    if (!found.ok()) return context.fail(found.status());
    shape = *found;
    if (const Status status = check_amount(options, shape); !status.ok()) return context.fail(status);
  }
  for (Query& query : *queries) {
    const auto json = context.call(search_request(options, query));
    if (!json) return context.exit();
    auto reply = parse_points(*json, options.draws() ? PointText::kWithoutVector : PointText::kWhole);
    if (!reply.ok()) return context.fail(reply.status());
    query.reply = *std::move(reply);
    for (size_t i = kPictureNeighboursMax; i < query.reply.points.size(); ++i)
      query.reply.points[i].vector = std::vector<float>();
  }
  Gallery gallery;
  if (shape) {
    auto made = make_gallery(context, *shape, *queries);
    if (!made.ok()) return context.fail(made.status());
    gallery = *std::move(made);
  }
  // The file first: when it fails, there is an error and no output.
  if (!options.picture.empty()) {
    if (const Status status = write_picture(gallery, options); !status.ok()) return context.fail(status);
    context.note("wrote " + options.picture);
  }
  context.print(matches_table(*queries, context.format() == Format::kTable), replies_json(*queries));
  if (options.explain && context.format() != Format::kJson) print_explain(context, *queries);
  if (options.show) show(context, gallery);
  return Exit::kOk;
}

std::string check_picture(const std::string& path) {
  if (ends_with(path, ".png") || ends_with(path, ".html")) return {};
  return "expected a file name that ends in .png or .html; got '" + path + "'";
}

}  // namespace

void add_query_command(CLI::App& app, Context& context) {
  auto options = std::make_shared<QueryOptions>();
  CLI::App* command = app.add_subcommand("query", "Find the nearest neighbours of vectors or of points");
  add_name(*command, options->name);
  auto* id =
      command
          ->add_option("--id", options->ids,
                       "The query is this point's vector; the point itself is left out. For several queries, again")
          ->allow_extra_args(false)
          ->check([](const std::string& text) { return protocol::validate_id(text).message(); });
  add_vector_options(*command, options->vector, RowsAllowed::kSeveral);
  id->excludes("--vector")->excludes("--file");
  command->add_option("-k", options->k, "Neighbours")->check(whole_number(1, limits::kKMax))->capture_default_str();
  command->add_option("--ef", options->ef, "Candidates: more find better neighbours, slower (default the collection's)")
      ->check(whole_number(1, limits::kEfMax));
  command->add_flag("--exact", options->exact, "Compare with every point");
  command->add_option("--radius", options->radius, "Only neighbours at this distance or nearer")
      ->check(finite_number());
  command->add_flag("--explain", options->explain, "Show what the search did");
  command->add_option("--picture", options->picture, "Draw queries and neighbours into a file: OUT.png, or OUT.html")
      ->check(check_picture);
  command->add_flag("--show", options->show, "Draw them in the terminal");
  command->add_option("--shape", options->shape,
                      "Images are HEIGHTxWIDTH, or HxWx3 or 3xHxW with colours (default: square, grey or HxWx3)");
  command->add_option("--labels", options->labels, "IDX or NPY file with the label of the query's row")
      ->needs("--file");
  command->footer(
      "In pictures 0 is black and the greatest value white; if there are values below 0, the least is black.\n"
      "Several queries give a line of images each, a column `query`, and in JSON {\"queries\":[…]}.\n\n"
      "Examples:\n  vsctl query fashion --id 18094 -k 5\n"
      "  vsctl query fashion --file t10k-images-idx3-ubyte.gz --row 0 --scale 1/255 --ef 128 --picture neighbours.png\n"
      "  vsctl query fashion --file t10k-images-idx3-ubyte.gz --row 0-9 --scale 1/255 --picture neighbours.html\n"
      "  vsctl query words --vector 0.1,0.7,0.2 --exact --output json");
  set_action(*command, context, [&context, options, id] {
    options->ids = id->results();  // CLI11 2.4 takes the one id {} for an empty list
    if (options->ids.empty() && !options->vector.given())
      return context.fail({Code::kBadArgument, "give the query: --id ID, --vector V, or --file FILE --row N"});
    return query_collection(context, *options);
  });
}

}  // namespace vs::cli
