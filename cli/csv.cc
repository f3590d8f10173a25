#include "cli/csv.h"

#include <algorithm>

#include "cli/row_text.h"

namespace vs::cli {
namespace {

enum class State { kFieldBegins, kPlain, kQuoted, kQuoteEnded };

Status at_line(uint64_t line, Code code, const std::string& message) {
  return {code, "line " + std::to_string(line) + ": " + message};
}

}  // namespace

// Returns the record's length with its line end; 0 at the end of the stream.
Result<size_t> CsvRecords::scan(std::vector<std::string>& fields, Status& fault) {
  std::string_view text;
  size_t at = 0;
  State state = State::kFieldBegins;
  uint64_t quote_line = next_line_;
  const auto spoilt = [&fault](const std::string& message) {
    if (fault.ok()) fault = {Code::kBadRequest, message};
  };
  fields.assign(1, {});
  for (;; ++at) {
    if (at == text.size()) {
      if (at > kTextRowBytesMax)
        return at_line(quote_line, Code::kTooLarge,
                       "expected rows of at most " + std::to_string(kTextRowBytesMax >> 20) + " MiB" +
                           (state == State::kQuoted ? "; the quote that begins here does not end" : ""));
      VS_ASSIGN_OR_RETURN(text, stream_.peek(at + 1));
      if (at == text.size()) break;
    }
    const char c = text[at];
    if (c == '\n') ++next_line_;
    std::string& field = fields.back();
    if (state == State::kQuoted) {
      if (c == '"')
        state = State::kQuoteEnded;
      else
        field += c;
    } else if (c == '\n') {
      if (state == State::kPlain && field.back() == '\r') field.pop_back();
      return at + 1;
    } else if (c == ',') {
      fields.emplace_back();
      state = State::kFieldBegins;
    } else if (c == '"') {
      if (state == State::kPlain)
        spoilt("a quote stands in field " + std::to_string(fields.size()) +
               ", which does not begin with one; quote the whole field and write \"\" for a "
               "quote in it");
      if (state == State::kQuoteEnded) field += c;
      if (state == State::kFieldBegins) quote_line = next_line_;
      if (state != State::kPlain) state = State::kQuoted;
    } else if (state == State::kQuoteEnded) {
      if (c == '\r') continue;
      spoilt("text follows the closing quote of field " + std::to_string(fields.size()));
      field += c;
      state = State::kPlain;
    } else {
      field += c;
      state = State::kPlain;
    }
  }
  if (state == State::kQuoted)
    return at_line(quote_line, Code::kBadRequest, "the quote that begins here does not end before the file does");
  return at;
}

Result<bool> CsvRecords::next(std::vector<std::string>& fields, Status& fault) {
  for (;;) {
    fault = {};
    record_line_ = next_line_;
    VS_ASSIGN_OR_RETURN(const size_t length, scan(fields, fault));
    VS_ASSIGN_OR_RETURN(const std::string_view text, stream_.peek(length));
    const std::string_view record = text.substr(0, length);
    const bool empty = record == "\n" || record == "\r\n";
    stream_.take(length);
    if (length == 0) return false;
    if (!empty) return true;
  }
}

namespace {

enum class Use { kComponent, kId, kVector, kLabel, kAttributes, kText };

struct Column {
  std::string name;  // empty without a header line
  Use use = Use::kComponent;
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

class CsvRows : public RowReader {
 public:
  CsvRows(InputStream stream, const RowOptions& options) : records_(std::move(stream)), scale_(options.scale) {}

  Status open(const std::string& header) {
    VS_ASSIGN_OR_RETURN(const std::string_view start, records_.stream().peek(3));
    if (start.starts_with("\xEF\xBB\xBF")) records_.stream().take(3);
    VS_ASSIGN_OR_RETURN(const bool any, read());
    if (!any) return {Code::kBadRequest, "the file has no rows"};
    if (!fault_.ok()) return at_line(records_.line(), fault_.code(), fault_.message());
    VS_ASSIGN_OR_RETURN(const bool named, has_header(header));
    if (named) {
      for (const std::string& field : fields_) columns_.push_back({field});
      VS_ASSIGN_OR_RETURN(const bool more, read());
      if (!more) return {Code::kBadRequest, "the file has a header line, but no rows"};
    } else {
      columns_.resize(fields_.size());
    }
    Status status = fault_.ok() ? check_width() : fault_;
    if (status.ok()) status = named ? use_names() : use_positions();
    Row row;
    if (status.ok()) fill(row);
    if (status.ok()) status = row.fault;
    if (!status.ok()) return at_line(records_.line(), status.code(), status.message());
    dimensions_ = row.vector.size();
    return {};
  }

  uint64_t columns() const override { return dimensions_; }
  std::optional<double> part() const override { return records_.stream().part(); }
  bool gives_ids() const override { return has(Use::kId); }

  Result<bool> next(Row& row) override {
    // open() has left the first row here.
    if (!std::exchange(pending_, false)) {
      VS_ASSIGN_OR_RETURN(const bool any, read());
      if (!any) return false;
    }
    row = {};
    row.line = records_.line();
    row.fault = fault_.ok() ? check_width() : fault_;
    if (row.fault.ok()) fill(row);
    return true;
  }

 private:
  Result<bool> read() { return records_.next(fields_, fault_); }

  bool has(Use use) const {
    return std::any_of(columns_.begin(), columns_.end(), [use](const Column& column) { return column.use == use; });
  }

  bool is_number(const std::string& field) const { return read_component(field, scale_).has_value(); }

  // Of the first line, which is in fields_.
  Result<bool> has_header(const std::string& header) const {
    if (header != "guess") return header == "yes";
    const auto numbers =
        std::count_if(fields_.begin(), fields_.end(), [this](const std::string& field) { return is_number(field); });
    if (numbers == static_cast<ptrdiff_t>(fields_.size())) return false;
    if (numbers == 0) return true;
    for (const std::string& field : fields_)
      if (lower(field) == "id" || lower(field) == "vector") return true;
    return at_line(
        records_.line(), Code::kBadRequest,
        "the first line has names and numbers, so it may be a header or a row; say --header yes or --header no");
  }

  Status check_width() const {
    if (fields_.size() == columns_.size()) return {};
    return {Code::kBadRequest, "expected " + std::to_string(columns_.size()) + " fields as in the first line, got " +
                                   std::to_string(fields_.size())};
  }

  Status use_positions() {
    for (size_t i = 0; i < fields_.size(); ++i) {
      if (is_number(fields_[i])) continue;
      if (i > 0)
        return {Code::kBadRequest, "field " + std::to_string(i + 1) + " is '" + shortened(fields_[i]) +
                                       "', no number; put a header line before the rows that names the columns"};
      columns_[0].use = Use::kId;
    }
    return check_uses();
  }

  Status use_names() {
    const auto named = [this](std::string_view name) {
      return std::any_of(columns_.begin(), columns_.end(),
                         [name](const Column& column) { return lower(column.name) == name; });
    };
    const bool has_vector = named("vector");
    for (size_t i = 0; i < columns_.size(); ++i) {
      Column& column = columns_[i];
      const std::string name = lower(column.name);
      if (column.name.empty())
        return {Code::kBadRequest,
                "column " + std::to_string(i + 1) + " has no name in the header line; call it id if it holds the ids"};
      for (size_t before = 0; before < i; ++before)
        if (columns_[before].name == column.name)
          return {Code::kBadRequest, "the header line has the name '" + shortened(column.name) + "' twice"};
      if (name == "id")
        column.use = Use::kId;
      else if (name == "vector")
        column.use = Use::kVector;
      else if (name == "attributes")
        column.use = Use::kAttributes;
      else if (name == "label")
        column.use = Use::kLabel;
      else if (has_vector)
        column.use = is_number(fields_[i]) ? Use::kLabel : Use::kText;
      else if (fields_[i].empty())
        return {Code::kBadRequest, "column '" + shortened(column.name) +
                                       "' is empty in the first row, which says what columns hold numbers; let a row "
                                       "without gaps be the first"};
      else
        column.use = is_number(fields_[i]) ? Use::kComponent : Use::kText;
    }
    if (has(Use::kAttributes) && (has(Use::kLabel) || has(Use::kText)))
      return {
          Code::kBadRequest,
          "a column attributes holds all attributes, so there can be no columns of other ones; name one of them away"};
    return check_uses();
  }

  Status check_uses() const {
    if (has(Use::kComponent) || has(Use::kVector)) return {};
    return {Code::kBadRequest, "the first row has no numbers for a vector"};
  }

  std::string name_of(size_t i) const {
    return columns_[i].name.empty() ? "field " + std::to_string(i + 1) : "column '" + shortened(columns_[i].name) + "'";
  }

  // What fields_ says. REQUIRES: check_width().
  void fill(Row& row) {
    row.vector.reserve(dimensions_);
    std::string attributes;
    for (size_t i = 0; i < columns_.size() && row.fault.ok(); ++i) {
      const std::string& field = fields_[i];
      switch (columns_[i].use) {
        case Use::kComponent:
          if (const auto number = read_component(field, scale_))
            row.vector.push_back(*number);
          else
            row.fault = {Code::kBadRequest, name_of(i) + ": expected a number, got '" + shortened(field) + "'"};
          break;
        case Use::kId:
          row.id = field;
          if (field.empty()) row.fault = {Code::kBadRequest, name_of(i) + ": the id is empty"};
          break;
        case Use::kVector:
          row.fault = read_vector_text(field, scale_, row.vector);
          break;
        case Use::kAttributes:
          row.fault = read_attributes_text(field, row.attributes);
          break;
        case Use::kLabel:
          append_attribute(attributes, columns_[i].name, label_json(field));
          break;
        case Use::kText:
          if (!is_utf8(field)) row.fault = {Code::kBadRequest, name_of(i) + ": expected text in UTF-8"};
          append_attribute(attributes, columns_[i].name, string_json(field));
          break;
      }
    }
    if (row.fault.ok() && dimensions_ != 0 && row.vector.size() != dimensions_)
      row.fault = other_dimension(dimensions_, row.vector.size());
    if (!attributes.empty()) row.attributes = attributes + "}";
  }

  CsvRecords records_;
  const Scale scale_;
  std::vector<Column> columns_;
  std::vector<std::string> fields_;  // of the record at hand
  Status fault_;                     // likewise
  bool pending_ = true;
  uint64_t dimensions_ = 0;
};

}  // namespace

Result<std::unique_ptr<RowReader>> open_csv(InputStream stream, const RowOptions& options) {
  auto rows = std::make_unique<CsvRows>(std::move(stream), options);
  VS_RETURN_IF_ERROR(rows->open(options.header));
  return std::unique_ptr<RowReader>(std::move(rows));
}

}  // namespace vs::cli
