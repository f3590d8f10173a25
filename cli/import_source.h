// What an import sends: the rows of files, and the id and attributes that go with each.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cli/id_set.h"
#include "cli/row_reader.h"

namespace vs::cli {

// The files as named on the command line.
struct ImportFiles {
  std::vector<std::string> vectors;  // "-" is the standard input
  std::string format;                // empty: guessed for each file
  std::string header = "guess";
  std::vector<std::string> labels;
  std::string attributes;
  std::string ids;
  std::string id_prefix;
  std::string scale = "1";
};

// A row as it is sent: with its whole id, and checked as far as that needs no daemon.
struct SourceRow : Row {
  uint64_t number = 0;    // counted from 0 over all files
  size_t file = 0;        // of those on the command line
  uint64_t file_row = 0;  // counted from 0 in that file
  uint64_t digest = 0;    // of this row and all before it: ids, vectors, attributes
};

// All rows of the files in their order, read once; of a text file only the row at hand is in memory, and 8 to 16 bytes for
// each id that came from a file. For one thread at a time.
class ImportSource {
 public:
  // Errors name the file, and the line or row if it is one's fault: kBadRequest, kBadArgument, kTooLarge, kIoError.
  static Result<ImportSource> open(const ImportFiles& options);

  uint64_t columns() const { return files_.front().rows->columns(); }
  // Those of the collection that the rows come from, if the files say so.
  CollectionSettings settings() const { return files_.front().rows->settings(); }
  // All rows of all files, if that is known before they are read.
  std::optional<uint64_t> rows() const;
  // How much is read, from 0 to 1, if that is known.
  std::optional<double> part() const;
  const std::string& path(size_t file) const { return files_[file].path; }

  // The next row; false at the end. What is wrong with the row alone is its fault. Errors end the reading: those of open().
  Result<bool> next(SourceRow& row);
  // Whether all files can be opened and read once more; a pipe cannot.
  bool can_be_read_again() const;

 private:
  struct File {
    std::string path;
    std::unique_ptr<RowReader> rows;
    bool on_disk = false;
  };
  // A file beside those of the vectors, for messages.
  struct Beside {
    const char* expected = "";
    std::string path;  // empty: none was given
    const char* unit = "";
  };

  Status open_vectors(const ImportFiles& options);
  Status load_labels(const std::vector<std::string>& paths);
  Status load_attributes(const std::string& path);
  Status load_ids(const std::string& path);
  // That such a file, if there is one, has as many rows as the vectors; only what is known by now is compared.
  Status check_count(const Beside& file, size_t count, bool read_all = false) const;
  Status complete(SourceRow& row);

  std::vector<File> files_;  // all with the same number of columns
  size_t file_ = 0;          // that is read
  uint64_t file_row_ = 0;
  uint64_t number_ = 0;
  uint64_t digest_ = 0;
  std::string id_prefix_;
  std::vector<std::string> attributes_;  // one JSON object a row, or empty
  std::vector<std::string> ids_;         // one a row, all different, or empty
  Beside attributes_file_;
  Beside ids_file_;
  bool ids_may_repeat_ = false;
  IdSet seen_;
};

// Appends the row's ADD line; `options` are appended to its words.
void append_add(const std::string& collection, const SourceRow& row, std::string_view options, std::string& out);

}  // namespace vs::cli
