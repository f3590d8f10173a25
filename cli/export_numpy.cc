// The formats numpy and npz: the same files, in a directory or packed into one archive.
#include <algorithm>
#include <filesystem>

#include "cli/export_rows.h"
#include "cli/npy.h"
#include "cli/zip_archive.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

class NumpyExporter : public RowsExporter {
 public:
  NumpyExporter(std::string directory, size_t dim, size_t m, NpyWriter vectors, OutputFile attributes)
      : RowsExporter(std::move(directory), dim, std::move(attributes)), m_(m), vectors_(std::move(vectors)) {}

  std::string with() const override { return "vector,attributes,links"; }

  Status finish(ordered_json meta) override {
    VS_RETURN_IF_ERROR(vectors_.finish(count()));
    VS_RETURN_IF_ERROR(finish_rows());
    const int layers = rows().level_max() + 1;
    for (int layer = 0; layer < layers; ++layer) VS_RETURN_IF_ERROR(write_links(layer));
    meta["count"] = count();
    meta["layers"] = layers;
    return write_json("meta.json", meta);
  }

 private:
  Status append(std::span<const float> vector) override { return vectors_.append(vector.data(), vector.size_bytes()); }

  Status write_links(int layer) {
    size_t width = layer == 0 ? 2 * m_ : m_;
    for (uint32_t row = 0; row < rows().count(); ++row) width = std::max(width, rows().links(row, layer).size());
    VS_ASSIGN_OR_RETURN(NpyWriter out,
                        NpyWriter::create(file("links_" + std::to_string(layer) + ".npy"), "<i4", width));
    std::vector<int32_t> line(width);
    for (uint32_t row = 0; row < rows().count(); ++row) {
      const std::vector<uint32_t> links = rows().links(row, layer);
      std::fill(std::copy(links.begin(), links.end(), line.begin()), line.end(), -1);
      VS_RETURN_IF_ERROR(out.append(line.data(), line.size() * sizeof(int32_t)));
    }
    return out.finish(count());
  }

  const size_t m_;
  NpyWriter vectors_;
};

// An array's header says how many rows it has, which is known only at the end, and a ZIP archive is written from front to
// back with checksums. So the files are written as for numpy, packed, and removed: meanwhile they take their room twice.
class NpzExporter : public Exporter {
 public:
  NpzExporter(std::string directory, std::unique_ptr<Exporter> files)
      : directory_(std::move(directory)), files_(std::move(files)) {}

  std::string with() const override { return files_->with(); }
  Status add(const std::vector<PointData>& points) override { return files_->add(points); }
  uint64_t count() const override { return files_->count(); }

  Status finish(ordered_json meta) override {
    VS_RETURN_IF_ERROR(files_->finish(std::move(meta)));
    std::vector<std::string> parts;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(directory_, error), end; !error && entry != end;
         entry.increment(error))
      parts.push_back(entry->path().string());
    if (error) return {Code::kIoError, "cannot read the directory " + directory_ + ": " + error.message()};
    std::sort(parts.begin(), parts.end());
    VS_RETURN_IF_ERROR(write_zip(directory_ + "/points.npz", parts));
    for (const std::string& part : parts)
      if (!std::filesystem::remove(part, error))
        return {Code::kIoError, "cannot remove " + part + ": " + error.message()};
    return {};
  }

 private:
  const std::string directory_;
  const std::unique_ptr<Exporter> files_;
};

}  // namespace

Result<std::unique_ptr<Exporter>> make_numpy_exporter(const std::string& directory, const ExportInfo& info) {
  VS_ASSIGN_OR_RETURN(const size_t dim, required_dim(info));
  VS_ASSIGN_OR_RETURN(NpyWriter vectors, NpyWriter::create(directory + "/vectors.npy", "<f4", dim));
  VS_ASSIGN_OR_RETURN(OutputFile attributes, OutputFile::create(directory + "/attributes.jsonl"));
  return std::unique_ptr<Exporter>(
      std::make_unique<NumpyExporter>(directory, dim, setting(info, "m"), std::move(vectors), std::move(attributes)));
}

Result<std::unique_ptr<Exporter>> make_npz_exporter(const std::string& directory, const ExportInfo& info) {
  VS_ASSIGN_OR_RETURN(std::unique_ptr<Exporter> files, make_numpy_exporter(directory, info));
  return std::unique_ptr<Exporter>(std::make_unique<NpzExporter>(directory, std::move(files)));
}

}  // namespace vs::cli
