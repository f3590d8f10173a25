#include "cli/import_source.h"

#include <algorithm>
#include <span>
#include <unordered_map>

#include "cli/npy.h"
#include "cli/settings.h"

namespace vs::cli {
namespace {

// Without their line ends; an LF at the end of the text begins no further line.
std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string& line = lines.emplace_back(text.substr(0, end));
    if (!line.empty() && line.back() == '\r') line.pop_back();
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace

Result<ImportSource> ImportSource::open(const ImportFiles& options) {
  ImportSource source;
  VS_ASSIGN_OR_RETURN(source.scale, parse_scale(options.scale));
  source.id_prefix = options.id_prefix;
  VS_RETURN_IF_ERROR(source.open_vectors(options));
  if (!options.labels.empty()) VS_RETURN_IF_ERROR(source.read_labels(options.labels));
  if (!options.attributes.empty()) VS_RETURN_IF_ERROR(source.read_attributes(options.attributes));
  if (!options.ids.empty()) VS_RETURN_IF_ERROR(source.read_ids(options.ids));
  return source;
}

Status ImportSource::open_vectors(const ImportFiles& options) {
  const ArrayFormat format = options.format == "idx"   ? ArrayFormat::kIdx
                             : options.format == "npy" ? ArrayFormat::kNpy
                                                       : ArrayFormat::kGuess;
  for (const std::string& path : options.vectors) {
    VS_ASSIGN_OR_RETURN(auto bundle, open_bundle(path, options.format));
    if (bundle && options.vectors.size() > 1)
      return {Code::kBadArgument, path + ": an NPZ file or a folder is imported alone, one at a time"};
    if (bundle) return take_bundle(path, *std::move(bundle), options);
    VS_ASSIGN_OR_RETURN(Array file, Array::open(path, format));
    if (file.shape().size() == 1)
      return {Code::kBadRequest, path + ": expected rows of vectors, so at least two dimensions; got one, of " +
                                     std::to_string(file.shape().front()) +
                                     " numbers. Labels are given with --labels FILE beside the file of the vectors"};
    if (file.columns() == 0 || file.columns() > limits::kDimMax)
      return {Code::kBadRequest, path + ": expected rows of 1 to " + std::to_string(limits::kDimMax) +
                                     " numbers; got " + std::to_string(file.columns())};
    if (!files.empty() && file.columns() != columns())
      return {Code::kBadRequest, path + ": expected rows of " + std::to_string(columns()) + " numbers as in " +
                                     files.front().path() + "; got " + std::to_string(file.columns())};
    files.push_back(std::move(file));
  }
  return {};
}

Status ImportSource::take_bundle(const std::string& path, Bundle bundle, const ImportFiles& options) {
  if (bundle.vectors.columns() == 0 || bundle.vectors.columns() > limits::kDimMax)
    return {Code::kBadRequest, path + ": expected vectors of 1 to " + std::to_string(limits::kDimMax) +
                                   " numbers; got " + std::to_string(bundle.vectors.columns())};
  files.push_back(std::move(bundle.vectors));
  settings = std::move(bundle.settings);
  // Files that are named beside it go over what it holds.
  if (options.labels.empty() && options.attributes.empty()) {
    labels = std::move(bundle.labels);
    if (bundle.attributes) {
      attributes = lines_of(*bundle.attributes);
      VS_RETURN_IF_ERROR(check_attributes(path + "[attributes]"));
    }
  }
  if (!options.ids.empty() || bundle.ids.empty()) return {};
  ids = std::move(bundle.ids);
  return check_ids(path + "[ids]", "row", 0);
}

Status ImportSource::read_labels(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    VS_ASSIGN_OR_RETURN(const Array file, Array::open(path));
    if (file.shape().size() != 1 || !file.integers())
      return {Code::kBadRequest, path + ": expected labels, one integer a row"};
    VS_ASSIGN_OR_RETURN(const std::vector<int64_t> values, file.all_integers());
    labels.insert(labels.end(), values.begin(), values.end());
  }
  if (labels.size() != rows())
    return {Code::kBadRequest, "expected as many labels as rows, " + std::to_string(rows()) + "; got " +
                                   std::to_string(labels.size()) + "; give the label files of the same data"};
  return {};
}

Status ImportSource::read_attributes(const std::string& path) {
  VS_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  attributes = lines_of(text);
  return check_attributes(path);
}

Status ImportSource::check_attributes(const std::string& path) {
  for (size_t i = 0; i < attributes.size(); ++i) {
    std::string& line = attributes[i];
    // Between values a tab is only space, which the protocol wants to be one; inside a string it is not valid.
    std::replace(line.begin(), line.end(), '\t', ' ');
    line.erase(0, std::min(line.find_first_not_of(' '), line.size()));
    line.erase(line.find_last_not_of(' ') + 1);
    const auto kind = line.substr(0, 1) == "{" ? protocol::Value::Kind::kObject : protocol::Value::Kind::kBare;
    if (const auto object = protocol::read_attributes({kind, line}); !object.ok())
      return {object.status().code(), path + " line " + std::to_string(i + 1) + ": " + object.status().message()};
  }
  if (attributes.size() != rows())
    return {Code::kBadRequest, "expected one JSON object a row, " + std::to_string(rows()) + "; " + path + " has " +
                                   std::to_string(attributes.size()) + " lines"};
  return {};
}

Status ImportSource::read_ids(const std::string& path) {
  VS_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  const bool npy = looks_like_npy(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
  if (npy) {
    auto strings = parse_npy_strings(text);
    if (!strings.ok()) return {strings.status().code(), path + ": " + strings.status().message()};
    ids = *std::move(strings);
  } else {
    ids = lines_of(text);
  }
  // Lines count from 1 as editors do, rows of arrays from 0.
  return npy ? check_ids(path, "row", 0) : check_ids(path, "line", 1);
}

Status ImportSource::check_ids(const std::string& path, const std::string& unit, size_t first) {
  const auto place = [&unit, first](size_t i) { return unit + " " + std::to_string(first + i); };
  std::unordered_map<std::string_view, size_t> seen;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (const Status status = protocol::validate_id(id(i)); !status.ok())
      return {Code::kBadRequest, path + " " + place(i) + ": " + status.message()};
    if (const auto [earlier, added] = seen.try_emplace(ids[i], i); !added)
      return {Code::kBadRequest, path + " " + place(i) + ": the id '" + ids[i] + "' stands in " +
                                     place(earlier->second) + " already; every row needs an id of its own"};
  }
  if (ids.size() != rows())
    return {Code::kBadRequest, "expected as many ids as rows, " + std::to_string(rows()) + "; " + path + " has " +
                                   std::to_string(ids.size()) + " " + unit + "s"};
  return {};
}

uint64_t ImportSource::rows() const {
  uint64_t rows = 0;
  for (const Array& file : files) rows += file.rows();
  return rows;
}

std::string ImportSource::id(uint64_t row) const { return id_prefix + (ids.empty() ? std::to_string(row) : ids[row]); }

Status ImportSource::append_requests(const std::string& collection, uint64_t first, uint64_t count,
                                     std::string& out) const {
  std::vector<float> vectors(count * columns());
  uint64_t file_begin = 0;
  uint64_t filled = 0;
  for (const Array& file : files) {
    const uint64_t row = first + filled;
    if (filled < count && row < file_begin + file.rows()) {
      const uint64_t rows = std::min(count - filled, file_begin + file.rows() - row);
      const std::span<float> part = std::span(vectors).subspan(filled * columns(), rows * columns());
      VS_RETURN_IF_ERROR(file.read_floats(row - file_begin, scale, part));
      filled += rows;
    }
    file_begin += file.rows();
  }
  for (uint64_t i = 0; i < count; ++i) {
    out.append("ADD ").append(collection).append(" ").append(protocol::quote_word(id(first + i))).append(" ");
    out += protocol::encode_vector(std::span(vectors).subspan(i * columns(), columns()));
    if (!labels.empty()) out += " {\"label\":" + std::to_string(labels[first + i]) + "}";
    if (!attributes.empty()) out += " " + attributes[first + i];
    out += '\n';
  }
  return {};
}

}  // namespace vs::cli
