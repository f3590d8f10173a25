#include "cli/seed.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/bundle.h"
#include "cli/context.h"
#include "cli/settings.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

Status wrong(const char* name, const char* expected, const ordered_json& meta) {
  const auto found = meta.find(name);
  const std::string got = found == meta.end() ? "nothing" : cell_text(*found, false);
  constexpr size_t kShown = 100;
  return {Code::kBadRequest,
          "expected " + std::string(expected) + " for \"" + name + "\"; got " + printable(got.substr(0, kShown))};
}

}  // namespace

Result<SeedMeta> parse_seed_meta(std::string_view json) {
  const ordered_json meta = parse_json(json);
  if (!meta.is_object())
    return Status{Code::kBadRequest, "expected a JSON object with dim, M, ef_construction and metric"};
  SeedMeta out;
  const auto dim = meta.find("dim");
  if (dim == meta.end() || !dim->is_number_unsigned()) return wrong("dim", "a whole number", meta);
  out.dim = dim->get<uint64_t>();
  const auto metric = meta.find("metric");
  if (metric == meta.end() || (*metric != "l2" && *metric != "cosine"))
    return wrong("metric", "\"l2\" or \"cosine\"", meta);
  out.settings.emplace_back("metric", metric->get<std::string>());
  // Whether vsd takes such a number is for vsd to say, when a collection is made with it.
  constexpr std::pair<const char*, const char*> kNumbers[] = {
      {"M", "m"}, {"ef_construction", "ef_construction"}, {"ef_search", "ef_search"}};
  for (const auto& [theirs, ours] : kNumbers) {
    const auto number = meta.find(theirs);
    if (number == meta.end()) continue;
    if (!number->is_number_unsigned()) return wrong(theirs, "a whole number", meta);
    out.settings.emplace_back(ours, std::to_string(number->get<uint64_t>()));
  }
  if (const auto ml = meta.find("mL"); ml != meta.end()) {
    if (!ml->is_number() || !std::isfinite(ml->get<double>())) return wrong("mL", "a number", meta);
    std::string text;
    protocol::append_number(text, ml->get<double>());
    out.settings.emplace_back("ml", std::move(text));
  }
  return out;
}

Result<Bundle> open_seed(const std::string& directory, const RowOptions& options) {
  const auto file = [&directory](const char* name) { return (std::filesystem::path(directory) / name).string(); };
  const auto about = [](const std::string& path, const Status& status) {
    return Status{status.code(), path + ": " + status.message()};
  };
  for (const char* name : {"vectors.npy", "tombstones.npy", "meta.json"}) {
    std::error_code ignored;
    if (!std::filesystem::exists(file(name), ignored))
      return Status{Code::kBadRequest,
                    directory + ": it is no folder of VectorSearch-with-HNSW, as there is no " + name +
                        " in it; an export for numpy is imported as DIR/vectors.npy with --ids DIR/ids.npy " +
                        "and --attributes DIR/attributes.jsonl"};
  }
  VS_ASSIGN_OR_RETURN(const std::string text, read_text_file(file("meta.json")));
  auto meta = parse_seed_meta(text);
  if (!meta.ok()) return about(file("meta.json"), meta.status());
  VS_ASSIGN_OR_RETURN(Array vectors, Array::open(file("vectors.npy"), ArrayFormat::kNpy));
  if (vectors.shape().size() != 2)
    return about(file("vectors.npy"), {Code::kBadRequest, "expected two dimensions, rows of vectors; got " +
                                                              std::to_string(vectors.shape().size())});
  const uint64_t rows = vectors.shape()[0];
  if (vectors.shape()[1] != meta->dim && rows > 0)
    return about(file("vectors.npy"),
                 {Code::kDimensionMismatch, "meta.json says vectors of " + std::to_string(meta->dim) +
                                                " numbers, but they have " + std::to_string(vectors.shape()[1])});
  VS_ASSIGN_OR_RETURN(const Array tombstones, Array::open(file("tombstones.npy"), ArrayFormat::kNpy));
  if (tombstones.shape().size() != 1 || !tombstones.integers() || tombstones.shape()[0] != rows)
    return about(file("tombstones.npy"), {Code::kBadRequest, "expected a truth value for each of the " +
                                                                 std::to_string(rows) + " rows of vectors.npy"});
  VS_ASSIGN_OR_RETURN(const std::vector<int64_t> dead, tombstones.all_integers());

  // Ids are the numbers of the rows, also behind one that is left out.
  std::vector<uint64_t> kept;
  std::vector<std::string> ids;
  for (uint64_t row = 0; row < rows; ++row) {
    if (dead[row] != 0) continue;
    kept.push_back(row);
    if (!options.other_ids) ids.push_back(std::to_string(row));
  }
  vectors.keep_rows(std::move(kept));
  return Bundle{.vectors = std::move(vectors), .ids = std::move(ids), .settings = std::move(meta->settings)};
}

}  // namespace vs::cli
