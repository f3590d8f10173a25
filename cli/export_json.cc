#include <unordered_set>

#include "cli/export.h"
#include "cli/file.h"

namespace vs::cli {
namespace {

// points.json: {"collection":{…},"points":[{"id","attributes","vector"}…],"export":{…}}. What is known only at the end,
// stands at the end.
class JsonExporter : public Exporter {
 public:
  JsonExporter(OutputFile file, std::string directory) : file_(std::move(file)), directory_(std::move(directory)) {}

  std::string with() const override { return "vector,attributes"; }
  PointText text() const override { return PointText::kWhole; }

  Status add(const std::vector<PointData>& points) override {
    for (const PointData& point : points) {
      // A point that is replaced during the scan comes again.
      if (!ids_.insert(point.id).second) continue;
      VS_RETURN_IF_ERROR(file_.write((ids_.size() == 1 ? "\n" : ",\n") + point.text));
    }
    return {};
  }

  Status finish(nlohmann::ordered_json meta) override {
    meta["count"] = count();
    VS_RETURN_IF_ERROR(file_.write("\n],\"export\":" + meta.dump() + "}\n"));
    VS_RETURN_IF_ERROR(file_.commit());
    return sync_directory(directory_);
  }

  uint64_t count() const override { return ids_.size(); }

 private:
  OutputFile file_;
  const std::string directory_;
  std::unordered_set<std::string> ids_;
};

}  // namespace

Result<std::unique_ptr<Exporter>> make_json_exporter(const std::string& directory, const ExportInfo& info) {
  VS_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(directory + "/points.json"));
  nlohmann::ordered_json collection = {{"name", info.name}};
  for (const char* field : {"dim", "metric", "m", "ef_construction", "ml", "ef_search", "seed", "codes"})
    if (info.stats.contains(field)) collection[field] = info.stats[field];
  VS_RETURN_IF_ERROR(file.write("{\"collection\":" + collection.dump() + ",\"points\":["));
  return std::unique_ptr<Exporter>(std::make_unique<JsonExporter>(std::move(file), directory));
}

}  // namespace vs::cli
