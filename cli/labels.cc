#include "cli/labels.h"

#include <span>

#include "cli/array.h"
#include "cli/idx.h"
#include "cli/npy.h"
#include "cli/row_text.h"

namespace vs::cli {
namespace {

constexpr size_t kLineBytesMax = 1u << 20;

// Whether it is an array that Array::open() knows.
Result<bool> is_array(const std::string& path) {
  VS_ASSIGN_OR_RETURN(InputStream stream, InputStream::open(path));
  VS_ASSIGN_OR_RETURN(const std::string_view start, stream.peek(8));
  const std::span head(reinterpret_cast<const uint8_t*>(start.data()), start.size());
  return looks_like_npy(head) || looks_like_idx(head);
}

}  // namespace

Result<std::vector<std::string>> read_lines(const std::string& path) {
  VS_ASSIGN_OR_RETURN(InputStream stream, InputStream::open(path));
  std::vector<std::string> lines;
  for (std::string_view line;;) {
    VS_ASSIGN_OR_RETURN(const bool more, stream.line(line, kLineBytesMax));
    if (!more) return lines;
    lines.emplace_back(line);
  }
}

Result<std::vector<std::string>> read_labels(const std::string& path) {
  const auto failed = [&path](const Status& status) { return Status{status.code(), path + ": " + status.message()}; };
  const auto array = is_array(path);
  if (!array.ok()) return failed(array.status());
  std::vector<std::string> labels;
  if (*array) {
    VS_ASSIGN_OR_RETURN(const Array file, Array::open(path));
    if (file.shape().size() != 1 || !file.integers())
      return failed({Code::kBadRequest, "expected labels, one integer a row"});
    VS_ASSIGN_OR_RETURN(const std::vector<int64_t> values, file.all_integers());
    for (const int64_t value : values) labels.push_back(std::to_string(value));
    return labels;
  }
  const auto lines = read_lines(path);
  if (!lines.ok()) return failed(lines.status());
  for (const std::string& line : *lines) {
    if (!is_utf8(line))
      return failed({Code::kBadRequest, "line " + std::to_string(labels.size() + 1) +
                                            ": expected a label in UTF-8; is it an IDX, NPY or text file?"});
    labels.push_back(label_json(line));
  }
  return labels;
}

}  // namespace vs::cli
