// What goes with the vectors, one thing a row: labels, ids, attributes. Of files that lie beside the vectors' file, and of
// arrays beside the vectors in one file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/input_stream.h"

namespace vs::cli {

// All lines of a text file, plain or gzip, without their ends. Errors do not name the file: kBadRequest, kTooLarge, kIoError.
Result<std::vector<std::string>> read_lines(const std::string& path);

// One JSON value a row: of an IDX or NPY file of integers the numbers, of a text file one a line, a number if it is an
// integer and else a string. Errors name the file: kBadRequest, kTooLarge, kIoError.
Result<std::vector<std::string>> read_labels(const std::string& path);

// One id a row, of an NPY file of strings or the lines of a text file, all different and valid behind `prefix`. Errors name the
// file: likewise.
Result<std::vector<std::string>> read_ids(const std::string& path, const std::string& prefix);

// That all are valid ids behind `prefix`, and different. `unit` is how messages count them: a line from 1, as editors do, a row
// from 0. Errors: kBadRequest.
enum class Unit { kLine, kRow };
Status check_ids(const std::vector<std::string>& ids, const std::string& prefix, const std::string& path, Unit unit);

// Checks a line of a file of attributes, `name`, and appends it. Errors: kBadArgument, kBadRequest, kTooLarge.
Status append_attributes(const std::string& name, std::string_view line, std::vector<std::string>& attributes);

}  // namespace vs::cli
