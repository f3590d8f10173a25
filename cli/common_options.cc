#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "cli/arguments.h"
#include "cli/array.h"
#include "cli/commands.h"
#include "cli/scale.h"
#include "index/distance.h"

namespace vs::cli {

CLI::Option* add_name(CLI::App& command, std::string& name) {
  return command.add_option("NAME", name, "The collection")->required()->check([](const std::string& text) {
    return protocol::validate_collection_name(text).message();
  });
}

CLI::Option* add_scale(CLI::App& command, std::string& scale) {
  return command.add_option("--scale", scale, "Factor for the file's values: a number or a fraction such as 1/255")
      ->check([](const std::string& text) { return parse_scale(text).status().message(); })
      ->capture_default_str();
}

void set_action(CLI::App& command, Context& context, std::function<Exit()> run) {
  command.callback([&context, run = std::move(run)] { context.action = run; });
}

bool can_ask(const Context& context, const std::string& what) {
  if (::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1) return true;
  context.note(what + "; there is no terminal to ask at, so say --yes");
  return false;
}

bool ask(const Context& context, const std::string& question) {
  std::cerr << question << " [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  if (answer == "y" || answer == "Y" || answer == "yes") return true;
  context.note("nothing was deleted");
  return false;
}

std::vector<std::pair<std::string, std::string>> CreateOptions::given() const {
  std::vector<std::pair<std::string, std::string>> out;
  const auto add_number = [&out](const char* name, const std::optional<uint64_t>& value) {
    if (value) out.emplace_back(name, std::to_string(*value));
  };
  if (metric) out.emplace_back("metric", *metric);
  add_number("m", m);
  add_number("ef_construction", ef_construction);
  if (ml) out.emplace_back("ml", *ml);
  add_number("ef_search", ef_search);
  add_number("seed", seed);
  if (codes) out.emplace_back("codes", *codes);
  return out;
}

std::vector<std::pair<std::string, std::string>> CreateOptions::given_or(
    const std::vector<std::pair<std::string, std::string>>& defaults) const {
  auto settings = given();
  for (const auto& [name, value] : defaults) {
    const bool stands = std::any_of(settings.begin(), settings.end(), [&, &key = name](const auto& setting) {
      // The ml of another m would be none that belongs to this one.
      return setting.first == key || (key == "ml" && m && setting.first == "m");
    });
    if (!stands) settings.emplace_back(name, value);
  }
  return settings;
}

std::string CreateOptions::request_text(const std::vector<std::pair<std::string, std::string>>& defaults) const {
  std::string out;
  for (const auto& [name, value] : given_or(defaults)) out.append(" ").append(name).append("=").append(value);
  return out;
}

void add_create_options(CLI::App& command, CreateOptions& options) {
  command.add_option("--metric", options.metric, "l2, cosine or dot (default l2)")->check([](const std::string& text) {
    return metric_from_name(text) ? std::string() : "expected l2, cosine or dot; got '" + text + "'";
  });
  command.add_option("--m", options.m, "Links a layer, twice as many on layer 0 (default 16)")
      ->check(whole_number(limits::kMMin, limits::kMMax));
  command.add_option("--ef-construction", options.ef_construction, "Candidates on insertion (default 200)")
      ->check(whole_number(1, limits::kEfConstructionMax));
  command.add_option("--ml", options.ml, "Level multiplier (default 1/ln m)")
      ->check(finite_number(/*above_zero=*/true));
  command.add_option("--ef-search", options.ef_search, "Candidates of a search that names no ef (default 64)")
      ->check(whole_number(1, limits::kEfMax));
  command.add_option("--seed", options.seed, "Seed of the levels, for graphs that can be built again (default random)")
      ->check(whole_number(0));
  command
      .add_option(
          "--codes", options.codes,
          "Compact codes that a search reads instead of vectors: none, sq8 or pca (default: sq8 from 64 dimensions)")
      ->check(CLI::IsMember({"none", "sq8", "pca"}));
}

void add_vector_options(CLI::App& command, VectorOptions& options, RowsAllowed rows) {
  auto* vector = command.add_option("--vector", options.vector, "Numbers with commas, a JSON array, or f32:BASE64");
  auto* file =
      command.add_option("--file", options.file, "IDX, NPY or fvecs file, plain or gzip, that holds the vector");
  auto* row = command.add_option(
      "--row", options.rows,
      rows == RowsAllowed::kOne ? "Its row, from 0 (default 0)" : "Its row, from 0 (default 0), or several: 0,5,7-9");
  if (rows == RowsAllowed::kOne)
    row->check(whole_number(0));
  else
    row->check([](const std::string& text) { return number_list(text, kRowsMax).status().message(); });
  vector->excludes(file);
  row->needs(file);
  // A vector that is given as numbers is meant as it stands.
  add_scale(command, options.scale)->needs(file);
}

std::vector<uint64_t> VectorOptions::row_numbers() const {
  auto numbers = number_list(rows, kRowsMax);
  VS_CHECK(numbers.ok());
  return *std::move(numbers);
}

namespace {

Result<std::vector<float>> vector_from_text(std::string text) {
  auto kind = protocol::Value::Kind::kArray;
  if (text.substr(0, 4) == "f32:")
    kind = protocol::Value::Kind::kBare;
  else if (text.empty() || text.front() != '[')
    text = "[" + text + "]";
  auto vector = protocol::read_vector({kind, text});
  if (!vector.ok()) return Status{Code::kBadArgument, "--vector: " + vector.status().message()};
  return vector;
}

}  // namespace

Result<std::vector<std::vector<float>>> read_vectors(const VectorOptions& options) {
  std::vector<std::vector<float>> vectors;
  if (options.file.empty()) {
    VS_ASSIGN_OR_RETURN(vectors.emplace_back(), vector_from_text(options.vector));
    return vectors;
  }
  VS_ASSIGN_OR_RETURN(const Scale scale, parse_scale(options.scale));
  VS_ASSIGN_OR_RETURN(const Array array, Array::open(options.file));
  if (array.columns() > limits::kDimMax)
    return Status{Code::kBadArgument, options.file + " has rows of " + std::to_string(array.columns()) +
                                          " numbers; a vector has at most " + std::to_string(limits::kDimMax)};
  for (const uint64_t row : options.row_numbers()) {
    if (row >= array.rows())
      return Status{Code::kBadArgument, "--row must be below the " + std::to_string(array.rows()) + " rows of " +
                                            options.file + "; got " + std::to_string(row)};
    VS_RETURN_IF_ERROR(array.read_floats(row, scale, vectors.emplace_back(array.columns())));
  }
  return vectors;
}

Result<std::vector<float>> read_vector(const VectorOptions& options) {
  VS_ASSIGN_OR_RETURN(auto vectors, read_vectors(options));
  return std::move(vectors.front());
}

}  // namespace vs::cli
