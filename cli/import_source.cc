#include "cli/import_source.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "cli/import_formats.h"
#include "cli/labels.h"
#include "cli/row_text.h"

namespace vs::cli {
namespace {

// Readers of arrays name the file, or what of it is meant, themselves.
Status in_file(const std::string& path, const Status& status) {
  const std::string& message = status.message();
  if (message.starts_with(path) && std::string_view(":[/").find(message[path.size()]) != std::string_view::npos)
    return status;
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
  std::vector<std::string> inputs = options.vectors;
  inputs.insert(inputs.end(), options.labels.begin(), options.labels.end());
  inputs.insert(inputs.end(), {options.attributes, options.ids});
  if (std::count(inputs.begin(), inputs.end(), "-") > 1)
    return Status{Code::kBadArgument, "the standard input (-) can be read only once"};
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
  row_options.other_ids = !options.ids.empty();
  row_options.other_attributes = !options.labels.empty() || !options.attributes.empty();
  for (const std::string& path : options.vectors) {
    auto rows = open_rows(path, options.format, row_options);
    if (!rows.ok()) return in_file(path, rows.status());
    if ((*rows)->whole() && options.vectors.size() > 1)
      return {Code::kBadArgument, path + ": an NPZ file or a folder is imported alone, one at a time"};
    const uint64_t got = (*rows)->columns();
    if (got == 0 || got > limits::kDimMax)
      return {Code::kBadRequest, path + ": expected rows of 1 to " + std::to_string(limits::kDimMax) +
                                     " numbers; got " + std::to_string(got)};
    if (!files_.empty() && got != columns())
      return {Code::kBadRequest, path + ": expected rows of " + std::to_string(columns()) + " numbers as in " +
                                     files_.front().path + "; got " + std::to_string(got)};
    ids_may_repeat_ |= (*rows)->gives_ids();
    std::error_code ignored;
    const auto type = std::filesystem::status(path, ignored).type();
    const bool on_disk = type == std::filesystem::file_type::regular || type == std::filesystem::file_type::directory;
    files_.push_back({path, *std::move(rows), path != "-" && on_disk});
  }
  return {};
}

Status ImportSource::check_count(const Beside& file, size_t count, bool read_all) const {
  const auto all = read_all ? std::optional(number_) : rows();
  if (file.path.empty() || (all ? count == *all : count >= number_)) return {};
  return {Code::kBadRequest, std::string("expected ") + file.expected + ", " +
                                 (all ? std::to_string(*all) : std::to_string(number_) + " or more") + "; " +
                                 file.path + " has " + std::to_string(count) + file.unit};
}

Status ImportSource::load_labels(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    VS_ASSIGN_OR_RETURN(const std::vector<std::string> labels, read_labels(path));
    for (const std::string& label : labels) attributes_.push_back(label_attributes(label));
  }
  attributes_file_ = {"as many labels as rows", paths.size() == 1 ? paths.front() : "what --labels names", " labels"};
  return check_count(attributes_file_, attributes_.size());
}

Status ImportSource::load_attributes(const std::string& path) {
  auto lines = read_lines(path);
  if (!lines.ok()) return in_file(path, lines.status());
  for (const std::string& line : *lines) VS_RETURN_IF_ERROR(append_attributes(path, line, attributes_));
  attributes_file_ = {"one JSON object a row", path, " lines"};
  return check_count(attributes_file_, attributes_.size());
}

Status ImportSource::load_ids(const std::string& path) {
  VS_ASSIGN_OR_RETURN(ids_, read_ids(path, id_prefix_));
  ids_file_ = {"as many ids as rows", path, " ids"};
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
  VS_RETURN_IF_ERROR(check_count(attributes_file_, attributes_.size(), true));
  VS_RETURN_IF_ERROR(check_count(ids_file_, ids_.size(), true));
  return false;
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
