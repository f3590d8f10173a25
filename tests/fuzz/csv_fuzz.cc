// Fuzzes the reader of CSV: its records against a plain splitter, and the rows that come of them.
#include <cmath>

#include "cli/csv.h"
#include "cli/json_cursor.h"
#include "tests/fuzz/fuzz.h"

namespace vs::fuzz {
namespace {

std::string quoted(const std::string& field) {
  std::string out = "\"";
  for (const char c : field) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

struct Records {
  std::vector<std::vector<std::string>> fields;  // of those without a fault
  size_t faults = 0;
  Status end;
};

Records read_records(std::string_view text) {
  const MemoryFile file(text);
  auto stream = cli::InputStream::open(file.path());
  VS_CHECK(stream.ok());
  cli::CsvRecords records(*std::move(stream));
  Records out;
  std::vector<std::string> fields;
  for (uint64_t line = 0;;) {
    Status fault;
    const auto more = records.next(fields, fault);
    if (!more.ok()) out.end = more.status();
    if (!more.ok() || !*more) return out;
    VS_CHECK(records.line() > line && !fields.empty());
    line = records.line();
    if (fault.ok())
      out.fields.push_back(fields);
    else
      ++out.faults;
  }
}

// What was read, written with all fields in quotes, is read as the same.
void check_records(std::string_view text) {
  const Records records = read_records(text);
  VS_CHECK(records.end.ok() || records.end.code() == Code::kBadRequest);
  std::string again;
  for (const auto& fields : records.fields) {
    for (size_t i = 0; i < fields.size(); ++i) again += (i > 0 ? "," : "") + quoted(fields[i]);
    again += "\r\n";
  }
  const Records second = read_records(again);
  VS_CHECK(second.end.ok() && second.faults == 0 && second.fields == records.fields);
}

void check_rows(std::string_view text, const cli::RowOptions& options) {
  const MemoryFile file(text);
  auto stream = cli::InputStream::open(file.path());
  VS_CHECK(stream.ok());
  const auto rows = cli::open_csv(*std::move(stream), options);
  if (!rows.ok()) return;
  const uint64_t columns = (*rows)->columns();
  VS_CHECK(columns > 0 && columns <= text.size());
  uint64_t line = 0;
  for (cli::Row row;;) {
    const auto more = (*rows)->next(row);
    if (!more.ok() || !*more) return;
    VS_CHECK(line > 0 || row.fault.ok());
    VS_CHECK(row.line > line);
    line = row.line;
    if (!row.fault.ok()) continue;
    VS_CHECK(row.vector.size() == columns);
    VS_CHECK(row.attributes.empty() || cli::is_json_object(row.attributes));
    VS_CHECK(row.attributes.find('\n') == std::string::npos);
  }
}

}  // namespace
}  // namespace vs::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs;
  const std::string_view text = fuzz::text_of(data, size);
  if (text.starts_with("\x1f\x8b")) return 0;  // gzip, and what is in it is not this text
  fuzz::check_records(text);
  for (const char* const header : {"guess", "yes", "no"})
    fuzz::check_rows(text, {*header == 'y' ? cli::Scale{1, 255} : cli::Scale{}, header});
  return 0;
}
