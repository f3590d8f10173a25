#include "cli/import_source.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <span>
#include <unordered_map>

#include "cli/import_formats.h"
#include "cli/labels.h"
#include "cli/npy.h"
#include "cli/row_text.h"
#include "cli/settings.h"

namespace vs::cli {
namespace {

Status in_file(const std::string& path, const Status& status) {
  return {status.code(), path + ": " + status.message()};
}

uint64_t digest_of(uint64_t before, const SourceRow& row) {
  const auto add = [&before](const void* data, size_t bytes) {
    // The length, too, so that no byte may move from one member to the next.
    before = XXH3_64bits_withSeed(data, bytes, before + bytes);
  };
  add(row.id.data(), row.id.size());
  add(row.attributes.data(), row.attributes.size());
  add(row.vector.data(), row.vector.size() * sizeof(float));
  return before;
}

Status check_finite(const std::vector<float>& vector) {
  const auto bad = std::find_if(vector.begin(), vector.end(), [](float number) { return !std::isfinite(number); });
  if (bad == vector.end()) return {};
  return {Code::kNotFinite, "component " + std::to_string(bad - vector.begin()) +
                                " is NaN, infinite or beyond float32; every one must be a finite number"};
}

}  // namespace

Result<ImportSource> ImportSource::open(const ImportFiles& options) {
  ImportSource source;
  source.id_prefix_ = options.id_prefix;
  VS_RETURN_IF_ERROR(source.open_vectors(options));
  if (!options.labels.empty()) VS_RETURN_IF_ERROR(source.load_labels(options.labels));
  if (!options.attributes.empty()) VS_RETURN_IF_ERROR(source.load_attributes(options.attributes));
  if (!options.ids.empty()) VS_RETURN_IF_ERROR(source.load_ids(options.ids));
  return source;
}

Status ImportSource::open_vectors(const ImportFiles& options) {
  RowOptions row_options;
  row_options.header = options.header;
  VS_ASSIGN_OR_RETURN(row_options.scale, parse_scale(options.scale));
  if (std::count(options.vectors.begin(), options.vectors.end(), "-") > 1)
    return {Code::kBadArgument, "the standard input (-) can be read only once"};
  for (const std::string& path : options.vectors) {
    auto rows = open_rows(path, options.format, row_options);
    if (!rows.ok()) return in_file(path, rows.status());
    const uint64_t got = (*rows)->columns();
    if (got == 0 || got > limits::kDimMax)
      return {Code::kBadRequest, path + ": expected rows of 1 to " + std::to_string(limits::kDimMax) +
                                     " numbers; got " + std::to_string(got)};
    if (!files_.empty() && got != columns())
      return {Code::kBadRequest, path + ": expected rows of " + std::to_string(columns()) + " numbers as in " +
                                     files_.front().path + "; got " + std::to_string(got)};
    ids_may_repeat_ |= (*rows)->gives_ids();
    std::error_code ignored;
    files_.push_back({path, *std::move(rows), path != "-" && std::filesystem::is_regular_file(path, ignored)});
  }
  return {};
}

Status ImportSource::check_count(const Beside& file, size_t count) const {
  const auto all = rows();
  if (all ? count == *all : count >= number_) return {};
  return {Code::kBadRequest, std::string("expected ") + file.expected + ", " +
                                 (all ? std::to_string(*all) : std::to_string(number_) + " or more") + "; " +
                                 file.path + " has " + std::to_string(count) + file.unit};
}

Status ImportSource::load_labels(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    VS_ASSIGN_OR_RETURN(const std::vector<std::string> labels, read_labels(path));
    for (const std::string& label : labels) attributes_.push_back("{\"label\":" + label + "}");
  }
  attributes_file_ = {"as many labels as rows", paths.size() == 1 ? paths.front() : "what --labels names", ""};
  return check_count(attributes_file_, attributes_.size());
}

Status ImportSource::load_attributes(const std::string& path) {
  auto lines = read_lines(path);
  if (!lines.ok()) return in_file(path, lines.status());
  for (const std::string& line : *lines) {
    const auto failed = [&](const Status& status) {
      return Status{status.code(), path + " line " + std::to_string(attributes_.size() + 1) + ": " + status.message()};
    };
    std::string text;
    if (const Status status = read_attributes_text(line, text); !status.ok()) return failed(status);
    if (text.empty()) return failed({Code::kBadRequest, "expected a JSON object, {} for none; the line is empty"});
    attributes_.push_back(std::move(text));
  }
  attributes_file_ = {"one JSON object a row", path, " lines"};
  return check_count(attributes_file_, attributes_.size());
}

Status ImportSource::load_ids(const std::string& path) {
  VS_ASSIGN_OR_RETURN(const std::string text, read_text_file(path));
  const bool npy = looks_like_npy(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
  auto ids = npy ? parse_npy_strings(text) : read_lines(path);
  if (!ids.ok()) return in_file(path, ids.status());
  ids_ = *std::move(ids);
  ids_file_ = {"as many ids as rows", path, npy ? "" : " lines"};
  // Lines count from 1 as editors do, rows of arrays from 0.
  const auto place = [npy](size_t i) { return npy ? "row " + std::to_string(i) : "line " + std::to_string(i + 1); };
  std::unordered_map<std::string_view, size_t> seen;
  for (size_t i = 0; i < ids_.size(); ++i) {
    if (const Status status = protocol::validate_id(id_prefix_ + ids_[i]); !status.ok())
      return {Code::kBadRequest, path + " " + place(i) + ": " + status.message()};
    if (const auto [first, added] = seen.try_emplace(ids_[i], i); !added)
      return {Code::kBadRequest, path + " " + place(i) + ": the id '" + ids_[i] + "' stands in " +
                                     place(first->second) + " already; every row needs an id of its own"};
  }
  return check_count(ids_file_, ids_.size());
}

std::optional<uint64_t> ImportSource::rows() const {
  uint64_t sum = 0;
  for (const File& file : files_) {
    const auto rows = file.rows->rows();
    if (!rows) return std::nullopt;
    sum += *rows;
  }
  return sum;
}

std::optional<double> ImportSource::part() const {
  if (const auto all = rows()) return *all == 0 ? 1 : static_cast<double>(number_) / static_cast<double>(*all);
  // Files of one import are mostly of one size.
  const auto here = file_ < files_.size() ? files_[file_].rows->part() : 0.0;
  if (!here) return std::nullopt;
  return (static_cast<double>(file_) + *here) / static_cast<double>(files_.size());
}

bool ImportSource::can_be_read_again() const {
  return std::all_of(files_.begin(), files_.end(), [](const File& file) { return file.on_disk; });
}

Result<bool> ImportSource::next(SourceRow& row) {
  for (; file_ < files_.size(); ++file_, file_row_ = 0) {
    const File& file = files_[file_];
    const auto more = file.rows->next(row);
    if (!more.ok()) return in_file(file.path, more.status());
    if (!*more) continue;
    row.file = file_;
    row.file_row = file_row_++;
    row.number = number_++;
    VS_RETURN_IF_ERROR(complete(row));
    row.digest = digest_ = digest_of(digest_, row);
    return true;
  }
  VS_RETURN_IF_ERROR(check_end());
  return false;
}

Status ImportSource::check_end() const {
  const auto check = [this](const Beside& file, size_t count) {
    if (file.path.empty() || count == number_) return Status();
    return Status{Code::kBadRequest, std::string("expected ") + file.expected + ", " + std::to_string(number_) + "; " +
                                         file.path + " has " + std::to_string(count) + file.unit};
  };
  VS_RETURN_IF_ERROR(check(attributes_file_, attributes_.size()));
  return check(ids_file_, ids_.size());
}

// Gives the row its id and attributes, and checks it. An error is one of all rows.
Status ImportSource::complete(SourceRow& row) {
  const auto refuse_two = [&](const char* what, const std::string& path) {
    return in_file(this->path(row.file),
                   {Code::kBadArgument, std::string("the rows have ") + what + " of their own, and " + path +
                                            " gives others; leave one of the two out"});
  };
  if (!ids_file_.path.empty()) {
    VS_RETURN_IF_ERROR(check_count(ids_file_, ids_.size()));
    if (!row.id.empty()) return refuse_two("ids", ids_file_.path);
    row.id = ids_[row.number];
  }
  if (!attributes_file_.path.empty()) {
    VS_RETURN_IF_ERROR(check_count(attributes_file_, attributes_.size()));
    if (!row.attributes.empty()) return refuse_two("attributes", attributes_file_.path);
    row.attributes = attributes_[row.number];
  }
  // A row that could not be read may have had an id, which is not its number.
  const bool unknown = !row.fault.ok() && row.id.empty() && files_[row.file].rows->gives_ids();
  if (!unknown) row.id = id_prefix_ + (row.id.empty() ? std::to_string(row.number) : row.id);
  if (!row.fault.ok()) return {};
  row.fault = protocol::validate_id(row.id);
  if (!row.fault.ok()) row.id = shortened(row.id);
  if (row.fault.ok()) row.fault = check_finite(row.vector);
  if (row.fault.ok() && row.attributes.size() > limits::kAttributesBytes)
    row.fault = {Code::kTooLarge, "attributes must be at most " + std::to_string(limits::kAttributesBytes) +
                                      " bytes, got " + std::to_string(row.attributes.size())};
  if (row.fault.ok() && ids_may_repeat_ && !seen_.insert(row.id))
    row.fault = {Code::kExists,
                 "an earlier row has the id '" + shortened(row.id) + "'; every row needs an id of its own"};
  return {};
}

void append_add(const std::string& collection, const SourceRow& row, std::string_view options, std::string& out) {
  out.append("ADD ").append(collection).append(" ").append(protocol::quote_word(row.id)).append(" ");
  out += protocol::encode_vector(row.vector);
  if (!row.attributes.empty()) out.append(" ").append(row.attributes);
  out.append(options) += '\n';
}

}  // namespace vs::cli
