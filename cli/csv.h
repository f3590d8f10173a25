// Comma-separated values (RFC 4180): fields with commas, line ends or quotes stand in quotes, a quote in them twice.
//
// What the columns are is said by the header line and by the first row behind it:
//   id          the point's id
//   vector      the whole vector in one field, [0.1,0.2] or f32:BASE64
//   attributes  a JSON object
//   label       the attribute label, a number if it is an integer
//   others      if the first row has a number there, a component of the vector (an attribute, if there is a column vector);
//               else an attribute, a string
// Without a header line all columns are components, save a first one that is no number: that is the id. A first line with
// both names and numbers can be either (0, 1, 2 are names to some programs), and guessing wrong would lose a row or take
// an index for a component; so that is an error, unless a column is called id or vector, or the caller says which it is.
#pragma once

#include <memory>

#include "cli/input_stream.h"
#include "cli/row_reader.h"

namespace vs::cli {

// Splits a stream into records.
class CsvRecords {
 public:
  explicit CsvRecords(InputStream stream) : stream_(std::move(stream)) {}

  // The next record that is no empty line; false at the end. `fault` says what is wrong with this one alone. Errors:
  // kBadRequest (a quoted field does not end), kTooLarge, kIoError.
  Result<bool> next(std::vector<std::string>& fields, Status& fault);
  // Where the last record began, from 1.
  uint64_t line() const { return record_line_; }
  InputStream& stream() { return stream_; }
  const InputStream& stream() const { return stream_; }

 private:
  Result<size_t> scan(std::vector<std::string>& fields, Status& fault);

  InputStream stream_;
  uint64_t record_line_ = 0;
  uint64_t next_line_ = 1;
};

// Reads as far as the first row. Errors: kBadRequest, kTooLarge, kIoError; they name the line.
Result<std::unique_ptr<RowReader>> open_csv(InputStream stream, const RowOptions& options);

}  // namespace vs::cli
