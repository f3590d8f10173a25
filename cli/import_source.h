// What an import sends: the rows of files, and the id and attributes that go with each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/bundle.h"

namespace vs::cli {

// The files as named on the command line.
struct ImportFiles {
  std::vector<std::string> vectors;
  std::string format = "guess";
  std::vector<std::string> labels;
  std::string attributes;
  std::string ids;
  std::string id_prefix;
  std::string scale = "1";
};

// All rows of the files in their order.
struct ImportSource {
  // Errors name the file, and the line or row if it is one's fault: kBadRequest, kBadArgument, kTooLarge, kIoError.
  static Result<ImportSource> open(const ImportFiles& options);

  std::vector<Array> files;  // all with the same number of columns
  Scale scale;
  std::vector<int64_t> labels;          // one a row, or empty
  std::vector<std::string> attributes;  // one JSON object a row, or empty; not together with labels
  std::vector<std::string> ids;         // one a row, all different, or empty: then the row's number
  std::string id_prefix;
  // Of the collection that the files come from, if they say so: {"metric", "l2"}, …
  std::vector<std::pair<std::string, std::string>> settings;

  uint64_t rows() const;
  uint64_t columns() const { return files.front().columns(); }
  std::string id(uint64_t row) const;
  // Appends the ADD lines of the rows [first, first + count). Safe from several threads. Errors: kIoError.
  Status append_requests(const std::string& collection, uint64_t first, uint64_t count, std::string& out) const;

 private:
  Status open_vectors(const ImportFiles& options);
  Status take_bundle(const std::string& path, Bundle bundle, const ImportFiles& options);
  Status read_labels(const std::vector<std::string>& paths);
  Status read_attributes(const std::string& path);
  Status read_ids(const std::string& path);
  Status check_attributes(const std::string& path);
  // `unit` and `first`: how messages count the ids, "line" from 1 or "row" from 0.
  Status check_ids(const std::string& path, const std::string& unit, size_t first);
};

}  // namespace vs::cli
