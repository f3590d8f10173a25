// The formats json and jsonl: one document, or one a line. Points stand in them as the daemon sent them.
#include <cstdio>
#include <unordered_set>

#include "cli/export.h"
#include "cli/file.h"

namespace vs::cli {
namespace {

class JsonExporter : public Exporter {
 public:
  std::string with() const override { return "vector,attributes"; }
  PointText text() const override { return PointText::kWhole; }

  Status add(const std::vector<PointData>& points) override {
    for (const PointData& point : points) {
      // A point that is replaced during the scan comes again.
      if (!ids_.insert(point.id).second) continue;
      VS_RETURN_IF_ERROR(write(point.text));
    }
    return {};
  }
  uint64_t count() const override { return ids_.size(); }

 private:
  // count() counts it already.
  virtual Status write(const std::string& point) = 0;

  std::unordered_set<std::string> ids_;
};

// points.json: {"collection":{…},"points":[{"id","attributes","vector"}…],"export":{…}}. What is known only at the end,
// stands at the end.
class DocumentExporter : public JsonExporter {
 public:
  explicit DocumentExporter(OutputFile file) : file_(std::move(file)) {}

  Status finish(nlohmann::ordered_json meta) override {
    meta["count"] = count();
    VS_RETURN_IF_ERROR(file_.write("\n],\"export\":" + meta.dump() + "}\n"));
    return file_.commit();
  }

 private:
  Status write(const std::string& point) override { return file_.write((count() == 1 ? "\n" : ",\n") + point); }

  OutputFile file_;
};

// points.jsonl has no place for a description of the export.
class LinesExporter : public JsonExporter {
 public:
  explicit LinesExporter(OutputFile file) : file_(std::move(file)) {}

  Status finish(nlohmann::ordered_json) override { return file_.commit(); }

 private:
  Status write(const std::string& point) override { return file_.write(point + "\n"); }

  OutputFile file_;
};

class StdoutExporter : public JsonExporter {
 public:
  Status finish(nlohmann::ordered_json) override { return std::fflush(stdout) == 0 ? Status() : failed(); }

 private:
  static Status failed() { return {Code::kIoError, "cannot write to the standard output"}; }
  Status write(const std::string& point) override {
    const std::string line = point + "\n";
    return std::fwrite(line.data(), 1, line.size(), stdout) == line.size() ? Status() : failed();
  }
};

}  // namespace

Result<std::unique_ptr<Exporter>> make_json_exporter(const std::string& directory, const ExportInfo& info) {
  VS_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(directory + "/points.json"));
  nlohmann::ordered_json collection = {{"name", info.name}};
  for (const char* field : {"dim", "metric", "m", "ef_construction", "ml", "ef_search", "seed", "codes"})
    if (info.stats.contains(field)) collection[field] = info.stats[field];
  VS_RETURN_IF_ERROR(file.write("{\"collection\":" + collection.dump() + ",\"points\":["));
  return std::unique_ptr<Exporter>(std::make_unique<DocumentExporter>(std::move(file)));
}

Result<std::unique_ptr<Exporter>> make_jsonl_exporter(const std::string& directory, const ExportInfo&) {
  VS_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(directory + "/points.jsonl"));
  return std::unique_ptr<Exporter>(std::make_unique<LinesExporter>(std::move(file)));
}

std::unique_ptr<Exporter> make_stdout_exporter() { return std::make_unique<StdoutExporter>(); }

}  // namespace vs::cli
