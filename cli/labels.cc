#include "cli/labels.h"

#include <span>
#include <unordered_map>

#include "cli/array.h"
#include "cli/idx.h"
#include "cli/npy.h"
#include "cli/row_text.h"

namespace vs::cli {
namespace {

constexpr size_t kLineBytesMax = 1u << 20;

Result<std::vector<std::string>> lines_of(InputStream& stream) {
  std::vector<std::string> lines;
  for (std::string_view line;;) {
    VS_ASSIGN_OR_RETURN(const bool more, stream.line(line, kLineBytesMax));
    if (!more) return lines;
    lines.emplace_back(line);
  }
}

Result<std::string> text_of(InputStream& stream) {
  std::string text;
  for (;;) {
    VS_ASSIGN_OR_RETURN(const std::string_view piece, stream.peek(1));
    if (piece.empty()) return text;
    text += piece;
    stream.take(piece.size());
  }
}

// The first bytes, in which arrays have their magic number.
Result<std::span<const uint8_t>> head_of(InputStream& stream) {
  VS_ASSIGN_OR_RETURN(const std::string_view start, stream.peek(8));
  return std::span(reinterpret_cast<const uint8_t*>(start.data()), start.size());
}

// One integer a row, of an array that was recognized.
Result<std::vector<std::string>> array_labels(const std::string& path, InputStream stream) {
  VS_ASSIGN_OR_RETURN(const Array file, Array::open(path, Content::open(path, std::move(stream)), ArrayFormat::kGuess));
  if (file.shape().size() != 1 || !file.integers())
    return Status{Code::kBadRequest, path + ": expected labels, one integer a row"};
  VS_ASSIGN_OR_RETURN(const std::vector<int64_t> values, file.all_integers());
  std::vector<std::string> labels;
  for (const int64_t value : values) labels.push_back(std::to_string(value));
  return labels;
}

Status in_file(const std::string& path, const Status& status) {
  return {status.code(), path + ": " + status.message()};
}

}  // namespace

Result<std::vector<std::string>> read_lines(const std::string& path) {
  VS_ASSIGN_OR_RETURN(InputStream stream, InputStream::open(path));
  return lines_of(stream);
}

Result<std::vector<std::string>> read_labels(const std::string& path) {
  auto stream = InputStream::open(path);
  if (!stream.ok()) return in_file(path, stream.status());
  const auto head = head_of(*stream);
  if (!head.ok()) return in_file(path, head.status());
  if (looks_like_npy(*head) || looks_like_idx(*head)) return array_labels(path, *std::move(stream));
  const auto lines = lines_of(*stream);
  if (!lines.ok()) return in_file(path, lines.status());
  std::vector<std::string> labels;
  for (const std::string& line : *lines) {
    if (!is_utf8(line))
      return in_file(path, {Code::kBadRequest, "line " + std::to_string(labels.size() + 1) +
                                                   ": expected a label in UTF-8; is it an IDX, NPY or text file?"});
    labels.push_back(label_json(line));
  }
  return labels;
}

Result<std::vector<std::string>> read_ids(const std::string& path, const std::string& prefix) {
  auto stream = InputStream::open(path);
  if (!stream.ok()) return in_file(path, stream.status());
  const auto head = head_of(*stream);
  if (!head.ok()) return in_file(path, head.status());
  const bool npy = looks_like_npy(*head);
  const auto read = [&]() -> Result<std::vector<std::string>> {
    if (!npy) return lines_of(*stream);
    VS_ASSIGN_OR_RETURN(const std::string text, text_of(*stream));
    return parse_npy_strings(text);
  };
  auto ids = read();
  if (!ids.ok()) return in_file(path, ids.status());
  VS_RETURN_IF_ERROR(check_ids(*ids, prefix, path, npy ? Unit::kRow : Unit::kLine));
  return ids;
}

Status check_ids(const std::vector<std::string>& ids, const std::string& prefix, const std::string& path, Unit unit) {
  const auto place = [unit](size_t i) {
    return unit == Unit::kLine ? "line " + std::to_string(i + 1) : "row " + std::to_string(i);
  };
  std::unordered_map<std::string_view, size_t> seen;
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto failed = [&](const std::string& why) {
      return Status{Code::kBadRequest, path + " " + place(i) + ": " + why};
    };
    if (const Status status = protocol::validate_id(prefix + ids[i]); !status.ok()) return failed(status.message());
    if (const auto [earlier, added] = seen.try_emplace(ids[i], i); !added)
      return failed("the id '" + ids[i] + "' stands in " + place(earlier->second) +
                    " already; every row needs an id of its own");
  }
  return {};
}

Status append_attributes(const std::string& name, std::string_view line, std::vector<std::string>& attributes) {
  std::string text;
  Status status = read_attributes_text(line, text);
  if (status.ok() && text.empty())
    status = {Code::kBadRequest, "expected a JSON object, {} for none; the line is empty"};
  if (!status.ok())
    return {status.code(), name + " line " + std::to_string(attributes.size() + 1) + ": " + status.message()};
  attributes.push_back(std::move(text));
  return {};
}

}  // namespace vs::cli
