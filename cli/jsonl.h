// JSON Lines: one object a line, {"id":…,"vector":…,"attributes":…}. The vector is an array of numbers or "f32:BASE64"; an
// id (a string or a number) and attributes (an object) may be missing or null. "links", which a scan prints, is passed
// over; any other name is an error of the row, since what is not understood would be lost. Empty lines are no rows.
#pragma once

#include <memory>

#include "cli/input_stream.h"
#include "cli/row_reader.h"

namespace vs::cli {

// Sets the row's members, save its line; what is wrong goes into its fault.
void parse_json_row(std::string_view line, const Scale& scale, Row& row);

// Reads as far as the first row. Errors: kBadRequest, kTooLarge, kIoError, and what parse_json_row() finds; they name the
// line.
Result<std::unique_ptr<RowReader>> open_jsonl(InputStream stream, const RowOptions& options);

}  // namespace vs::cli
