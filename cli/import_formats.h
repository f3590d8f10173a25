// The formats of files that an import reads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/row_reader.h"

namespace vs::cli {

// The names, as --format has them.
std::vector<std::string> import_format_names();

// Opens a file, a pipe, "-", or a folder. An empty format is guessed: from the first bytes, else from the name. Errors may
// name the file, or a part of it: kBadRequest, kTooLarge, kIoError.
Result<std::unique_ptr<RowReader>> open_rows(const std::string& path, const std::string& format,
                                             const RowOptions& options);

}  // namespace vs::cli
