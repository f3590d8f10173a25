// Files that hold one thing a row beside the vectors' file: labels, ids, attributes.
#pragma once

#include <string>
#include <vector>

#include "daemon/protocol.h"

namespace vs::cli {

// All lines of a text file, plain or gzip, without their ends. Errors do not name the file: kBadRequest, kTooLarge, kIoError.
Result<std::vector<std::string>> read_lines(const std::string& path);

// One JSON value a row: of an IDX or NPY file of integers the numbers, of a text file one a line, a number if it is an
// integer and else a string. Errors name the file: kBadRequest, kTooLarge, kIoError.
Result<std::vector<std::string>> read_labels(const std::string& path);

}  // namespace vs::cli
