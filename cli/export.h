// Writing a collection to files, in one of several formats. Points stream from the daemon to the disk page by page.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
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
  // What the user should know about the files; empty if there is nothing. After finish().
  virtual std::string remark() const { return ""; }
};

struct ExportFormat {
  std::string_view name;
  std::string_view file;  // the one that it writes; empty if there are several
  // An exporter that writes into an existing, empty directory. Errors (of all its functions): kIoError, kBadRequest,
  // kShuttingDown.
  Result<std::unique_ptr<Exporter>> (*make)(const std::string& directory, const ExportInfo& info);
};

std::span<const ExportFormat> export_formats();
// nullptr if there is none of this name.
const ExportFormat* find_export_format(std::string_view name);

Result<std::unique_ptr<Exporter>> make_numpy_exporter(const std::string& directory, const ExportInfo& info);
Result<std::unique_ptr<Exporter>> make_npz_exporter(const std::string& directory, const ExportInfo& info);
Result<std::unique_ptr<Exporter>> make_json_exporter(const std::string& directory, const ExportInfo& info);
Result<std::unique_ptr<Exporter>> make_jsonl_exporter(const std::string& directory, const ExportInfo& info);
Result<std::unique_ptr<Exporter>> make_fvecs_exporter(const std::string& directory, const ExportInfo& info);
Result<std::unique_ptr<Exporter>> make_seed_exporter(const std::string& directory, const ExportInfo& info);
// Lines as in jsonl, to stdout.
std::unique_ptr<Exporter> make_stdout_exporter();

}  // namespace vs::cli
