// The rows of one input file, in their order, whatever its format is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/scale.h"

namespace vs::cli {

struct Row {
  std::string id;          // empty if the file gives none
  std::string attributes;  // JSON object's text, on one line; empty if there are none
  std::vector<float> vector;
  uint64_t line = 0;  // where it begins in a text file, from 1; 0 in other files
  Status fault;       // not ok: it can be no point, and why. Reading goes on behind it
};

// How files are read.
struct RowOptions {
  Scale scale;
  std::string header = "guess";  // of CSV: whether the first line names the columns; yes, no, guess
  // Whether another file gives these. Arrays of them that lie beside the vectors are then not read.
  bool other_ids = false;
  bool other_attributes = false;
};

// Of a collection: {"metric", "l2"}, … with the names of the protocol.
using CollectionSettings = std::vector<std::pair<std::string, std::string>>;

// For one thread at a time.
class RowReader {
 public:
  virtual ~RowReader() = default;

  // Numbers in a vector; of a text file, that of its first row, which has to be in order.
  virtual uint64_t columns() const = 0;
  // How many rows there are, if that is known without reading them.
  virtual std::optional<uint64_t> rows() const { return std::nullopt; }
  // How much is read, from 0 to 1, if that is known.
  virtual std::optional<double> part() const { return std::nullopt; }
  // Whether rows may come with ids of their own.
  virtual bool gives_ids() const { return false; }
  // Whether it is all that an import reads, as it is a collection and no part of one.
  virtual bool whole() const { return false; }
  // Those of the collection that the rows come from, if the file says so: for one that is made for them.
  virtual CollectionSettings settings() const { return {}; }
  // The next row, every member of which is set; false at the end. Errors end the reading: kBadRequest, kTooLarge, kIoError.
  // They may name the file.
  virtual Result<bool> next(Row& row) = 0;
};

}  // namespace vs::cli
