// The format seed (cli/seed.h). Its files hold what that implementation reads and nothing else; what it has no place for (ids,
// attributes, a description of the export) lies beside them.
#include "cli/export_rows.h"
#include "cli/npy.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

class SeedExporter : public RowsExporter {
 public:
  SeedExporter(std::string directory, const ExportInfo& info, size_t dim, NpyWriter vectors, OutputFile attributes)
      : RowsExporter(std::move(directory), dim, std::move(attributes)),
        stats_(info.stats),
        m_(setting(info, "m")),
        vectors_(std::move(vectors)) {}

  std::string with() const override { return "vector,attributes,links"; }

  Status finish(ordered_json meta) override {
    VS_RETURN_IF_ERROR(vectors_.finish(count()));
    VS_RETURN_IF_ERROR(finish_rows());
    VS_RETURN_IF_ERROR(write_levels());
    VS_RETURN_IF_ERROR(write_graph());
    unreachable_ = count_unreachable();
    meta["count"] = count();
    meta["unreachable"] = unreachable_;
    VS_RETURN_IF_ERROR(write_json("export.json", meta));
    const bool empty = count() == 0;
    return write_json("meta.json", {{"dim", dim_},
                                    {"M", m_},
                                    {"ef_construction", stats_.value("ef_construction", ordered_json())},
                                    {"ef_search", stats_.value("ef_search", ordered_json())},
                                    {"mL", stats_.value("ml", ordered_json())},
                                    {"metric", stats_.value("metric", ordered_json())},
                                    {"max_m0", 2 * m_},
                                    {"entry_point", empty ? ordered_json() : ordered_json(entry_point())},
                                    {"max_layer", rows().level_max()}});
  }

  std::string remark() const override {
    if (unreachable_ == 0) return "";
    return std::to_string(unreachable_) + " of " + std::to_string(count()) +
           " points have no way to them in the exported graph, because it led through deleted points, which are not " +
           "exported; to have them found, run `vsctl compact` and export again";
  }

 private:
  Status append(std::span<const float> vector) override { return vectors_.append(vector.data(), vector.size_bytes()); }

  // The first row of the highest layer, as in vsd. If that is a deleted point there, searches begin elsewhere here.
  uint32_t entry_point() const {
    const int level_max = rows().level_max();
    uint32_t row = 0;
    while (rows().level(row) < level_max) ++row;
    return row;
  }

  Status write_levels() const {
    VS_ASSIGN_OR_RETURN(NpyWriter levels, NpyWriter::create(file("levels.npy"), "<i4", 0));
    VS_ASSIGN_OR_RETURN(NpyWriter tombstones, NpyWriter::create(file("tombstones.npy"), "|b1", 0));
    for (uint32_t row = 0; row < rows().count(); ++row) {
      const int32_t level = rows().level(row);
      VS_RETURN_IF_ERROR(levels.append(&level, sizeof level));
      VS_RETURN_IF_ERROR(tombstones.append("\0", 1));
    }
    VS_RETURN_IF_ERROR(levels.finish(count()));
    return tombstones.finish(count());
  }

  Status write_graph() const {
    VS_ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(file("graph.json")));
    std::string line = "[";
    for (uint32_t row = 0; row < rows().count(); ++row) {
      line += row == 0 ? "\n{" : ",\n{";
      for (int layer = 0; layer <= rows().level(row); ++layer) {
        line += (layer == 0 ? "\"" : ",\"") + std::to_string(layer) + "\":[";
        const std::vector<uint32_t> links = rows().links(row, layer);
        for (size_t i = 0; i < links.size(); ++i) line += (i == 0 ? "" : ",") + std::to_string(links[i]);
        line += ']';
      }
      line += '}';
      VS_RETURN_IF_ERROR(out.write(line));
      line.clear();
    }
    VS_RETURN_IF_ERROR(out.write(line + "\n]\n"));
    return out.commit();
  }

  // Rows that no way on layer 0 leads to from the entry point.
  uint64_t count_unreachable() const {
    if (count() == 0) return 0;
    std::vector<bool> seen(count());
    std::vector<uint32_t> reached = {entry_point()};
    seen[reached.front()] = true;
    for (size_t i = 0; i < reached.size(); ++i) {
      for (const uint32_t to : rows().links(reached[i], 0)) {
        if (seen[to]) continue;
        seen[to] = true;
        reached.push_back(to);
      }
    }
    return count() - reached.size();
  }

  const ordered_json stats_;
  const size_t m_;
  NpyWriter vectors_;
  uint64_t unreachable_ = 0;
};

}  // namespace

Result<std::unique_ptr<Exporter>> make_seed_exporter(const std::string& directory, const ExportInfo& info) {
  const ordered_json metric = info.stats.value("metric", ordered_json());
  if (metric != "l2" && metric != "cosine")
    return Status{Code::kBadRequest, "the format seed is for collections of metric l2 or cosine, and '" + info.name +
                                         "' has metric " + (metric.is_string() ? metric.get<std::string>() : "none") +
                                         "; export it with --format numpy"};
  VS_ASSIGN_OR_RETURN(const size_t dim, required_dim(info));
  VS_ASSIGN_OR_RETURN(NpyWriter vectors, NpyWriter::create(directory + "/vectors.npy", "<f4", dim));
  VS_ASSIGN_OR_RETURN(OutputFile attributes, OutputFile::create(directory + "/attributes.jsonl"));
  return std::unique_ptr<Exporter>(
      std::make_unique<SeedExporter>(directory, info, dim, std::move(vectors), std::move(attributes)));
}

}  // namespace vs::cli
