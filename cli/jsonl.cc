#include "cli/jsonl.h"

#include <algorithm>

#include "cli/json_cursor.h"
#include "cli/row_text.h"

namespace vs::cli {
namespace {

Status bad(std::string message) { return {Code::kBadRequest, std::move(message)}; }

Status read_id(std::string_view value, std::string& id) {
  if (value == "null") return {};
  if (value.front() == '"') {
    JsonCursor cursor(value);
    if (!cursor.string(id)) return bad("the id is no valid JSON string: " + shortened(value));
    return id.empty() ? bad("the id is empty; leave it out to have the row's number") : Status();
  }
  id = value;
  if (value.front() == '-' || (value.front() >= '0' && value.front() <= '9')) return {};
  return bad("expected an id that is a string or a number, got " + shortened(value));
}

Status read_member(std::string_view name, std::string_view value, const Scale& scale, Row& row) {
  if (name == "id") return read_id(value, row.id);
  if (name == "links") return {};
  if (name == "attributes") return value == "null" ? Status() : read_attributes_text(value, row.attributes);
  if (name != "vector")
    return bad("expected the names id, vector and attributes, got '" + shortened(name) +
               "'; put it into the attributes");
  if (value.front() != '"') return read_vector_text(value, scale, row.vector);
  std::string text;
  JsonCursor cursor(value);
  if (!cursor.string(text)) return bad("the vector is no valid JSON string");
  return read_vector_text(text, scale, row.vector);
}

class JsonRows : public RowReader {
 public:
  JsonRows(InputStream stream, const Scale& scale) : stream_(std::move(stream)), scale_(scale) {}

  Status open() {
    VS_ASSIGN_OR_RETURN(const std::string_view start, stream_.peek(3));
    if (start.starts_with("\xEF\xBB\xBF")) stream_.take(3);
    VS_ASSIGN_OR_RETURN(const bool any, read());
    if (!any) return bad("the file has no rows");
    if (row_.fault.ok()) return {};
    return {row_.fault.code(), "line " + std::to_string(line_) + ": " + row_.fault.message()};
  }

  uint64_t columns() const override { return columns_; }
  std::optional<double> part() const override { return stream_.part(); }
  bool gives_ids() const override { return true; }

  Result<bool> next(Row& row) override {
    if (!std::exchange(pending_, false)) {
      VS_ASSIGN_OR_RETURN(const bool any, read());
      if (!any) return false;
    }
    row = std::move(row_);
    return true;
  }

 private:
  // Into row_.
  Result<bool> read() {
    std::string_view line;
    do {
      const auto more = stream_.line(line, kTextRowBytesMax);
      ++line_;
      if (!more.ok())
        return Status{more.status().code(), "line " + std::to_string(line_) + ": " + more.status().message()};
      if (!*more) return false;
    } while (line.find_first_not_of(" \t") == std::string_view::npos);
    row_ = {};
    row_.line = line_;
    parse_json_row(line, scale_, row_);
    if (columns_ == 0) columns_ = row_.vector.size();
    if (row_.fault.ok() && row_.vector.size() != columns_) row_.fault = other_dimension(columns_, row_.vector.size());
    return true;
  }

  InputStream stream_;
  const Scale scale_;
  Row row_;              // that next() will return
  bool pending_ = true;  // open() has read it
  uint64_t line_ = 0;
  uint64_t columns_ = 0;
};

}  // namespace

void parse_json_row(std::string_view line, const Scale& scale, Row& row) {
  JsonCursor cursor(line);
  std::vector<std::string> seen;
  cursor.open('{');
  for (std::string name; row.fault.ok() && cursor.more('}') && cursor.name(name);) {
    const std::string_view value = cursor.value();
    if (cursor.failed()) break;
    if (std::find(seen.begin(), seen.end(), name) != seen.end())
      row.fault = bad("the name '" + shortened(name) + "' stands there twice");
    else
      row.fault = read_member(name, value, scale, row);
    seen.push_back(name);
  }
  if (!row.fault.ok()) return;
  if (!cursor.at_end())
    row.fault = bad("expected one JSON object such as {\"id\":\"a\",\"vector\":[0.1,0.2]}, got " + shortened(line));
  else if (row.vector.empty())
    row.fault = bad("the row has no vector; expected \"vector\":[0.1,0.2] or \"vector\":\"f32:BASE64\"");
}

Result<std::unique_ptr<RowReader>> open_jsonl(InputStream stream, const RowOptions& options) {
  auto rows = std::make_unique<JsonRows>(std::move(stream), options.scale);
  VS_RETURN_IF_ERROR(rows->open());
  return std::unique_ptr<RowReader>(std::move(rows));
}

}  // namespace vs::cli
