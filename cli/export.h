// Writing a collection to files: NumPy arrays or one JSON document. Points stream from the daemon to the disk page by
// page.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/points.h"

namespace vs::cli {

struct ExportInfo {
  std::string name;
  nlohmann::ordered_json stats;  // of the collection, when the export began
};

class Exporter {
 public:
  virtual ~Exporter() = default;
  // What SCAN has to send: a value for its option `with`.
  virtual std::string with() const = 0;
  virtual PointText text() const { return PointText::kNone; }
  virtual Status add(const std::vector<PointData>& points) = 0;
  // Completes all files. `meta` describes the collection and the export, without "count".
  virtual Status finish(nlohmann::ordered_json meta) = 0;
  virtual uint64_t count() const = 0;
};

// Both write into an existing directory. Errors (of all functions): kIoError, kBadRequest.
Result<std::unique_ptr<Exporter>> make_numpy_exporter(const std::string& directory, const ExportInfo& info);
Result<std::unique_ptr<Exporter>> make_json_exporter(const std::string& directory, const ExportInfo& info);

}  // namespace vs::cli
