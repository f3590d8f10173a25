// The format fvecs of the TEXMEX benchmarks: before each vector its dimension as int32, then float32, all little-endian.
#include "cli/export_rows.h"

namespace vs::cli {
namespace {

class FvecsExporter : public RowsExporter {
 public:
  FvecsExporter(std::string directory, size_t dim, OutputFile vectors, OutputFile attributes)
      : RowsExporter(std::move(directory), dim, std::move(attributes)), vectors_(std::move(vectors)) {}

  Status finish(nlohmann::ordered_json meta) override {
    VS_RETURN_IF_ERROR(vectors_.commit());
    VS_RETURN_IF_ERROR(finish_rows());
    meta["count"] = count();
    return write_json("meta.json", meta);
  }

 private:
  Status append(std::span<const float> vector) override {
    const auto dim = static_cast<int32_t>(vector.size());
    VS_RETURN_IF_ERROR(vectors_.write(&dim, sizeof dim));
    return vectors_.write(vector.data(), vector.size_bytes());
  }

  OutputFile vectors_;
};

}  // namespace

Result<std::unique_ptr<Exporter>> make_fvecs_exporter(const std::string& directory, const ExportInfo& info) {
  VS_ASSIGN_OR_RETURN(const size_t dim, required_dim(info));
  VS_ASSIGN_OR_RETURN(OutputFile vectors, OutputFile::create(directory + "/vectors.fvecs"));
  VS_ASSIGN_OR_RETURN(OutputFile attributes, OutputFile::create(directory + "/attributes.jsonl"));
  return std::unique_ptr<Exporter>(
      std::make_unique<FvecsExporter>(directory, dim, std::move(vectors), std::move(attributes)));
}

}  // namespace vs::cli
