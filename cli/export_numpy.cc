#include <algorithm>
#include <optional>
#include <unordered_map>

#include "cli/export.h"
#include "cli/file.h"
#include "cli/npy.h"

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

// The code points of valid UTF-8.
std::u32string decode_utf8(const std::string& text) {
  std::u32string out;
  for (size_t i = 0; i < text.size();) {
    const auto first = static_cast<uint8_t>(text[i]);
    const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    char32_t code = length == 1 ? first : first & (0xFFu >> (length + 1));
    for (size_t j = 1; j < length && i + j < text.size(); ++j)
      code = code << 6 | (static_cast<uint8_t>(text[i + j]) & 0x3Fu);
    out.push_back(code);
    i += length;
  }
  return out;
}

// Vectors and attributes go to disk as they come; ids and links stay in memory until the end, because a link may name a
// point that comes later.
class NumpyExporter : public Exporter {
 public:
  NumpyExporter(std::string directory, size_t dim, size_t m, NpyWriter vectors, OutputFile attributes)
      : directory_(std::move(directory)),
        dim_(dim),
        m_(m),
        vectors_(std::move(vectors)),
        attributes_(std::move(attributes)) {}

  std::string with() const override { return "vector,attributes,links"; }

  Status add(const std::vector<PointData>& points) override {
    for (const PointData& point : points) {
      if (point.vector.size() != dim_)
        return {Code::kBadRequest, "expected vectors of " + std::to_string(dim_) + " numbers from the daemon; got " +
                                       std::to_string(point.vector.size())};
      const uint32_t name = intern(point.id);
      // A point that is replaced during the scan comes again.
      if (row_of_name_[name] != kNoRow) continue;
      row_of_name_[name] = static_cast<int32_t>(name_of_row_.size());
      name_of_row_.push_back(name);
      VS_RETURN_IF_ERROR(vectors_.append(point.vector.data(), point.vector.size() * sizeof(float)));
      VS_RETURN_IF_ERROR(attributes_.write((point.attributes.empty() ? "{}" : point.attributes) + "\n"));
      add_links(point);
    }
    return {};
  }

  Status finish(ordered_json meta) override {
    VS_RETURN_IF_ERROR(vectors_.finish(count()));
    VS_RETURN_IF_ERROR(attributes_.commit());
    VS_RETURN_IF_ERROR(write_ids());
    for (size_t layer = 0; layer < layers_.size(); ++layer) VS_RETURN_IF_ERROR(write_links(layer));
    meta["count"] = count();
    meta["layers"] = layers_.size();
    VS_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(directory_ + "/meta.json"));
    VS_RETURN_IF_ERROR(file.write(meta.dump(2) + "\n"));
    VS_RETURN_IF_ERROR(file.commit());
    return sync_directory(directory_);
  }

  uint64_t count() const override { return name_of_row_.size(); }

 private:
  static constexpr int32_t kNoRow = -1;

  // All links of one layer: those of row r are names[begin[i], begin[i + 1]) where rows[i] == r.
  struct Layer {
    std::vector<uint32_t> rows;
    std::vector<size_t> begin = {0};
    std::vector<uint32_t> names;
  };

  uint32_t intern(const std::string& id) {
    const auto [place, added] = names_.try_emplace(id, static_cast<uint32_t>(names_.size()));
    if (added) {
      row_of_name_.push_back(kNoRow);
      text_of_name_.push_back(&place->first);
    }
    return place->second;
  }

  void add_links(const PointData& point) {
    if (layers_.size() < point.links.size()) layers_.resize(point.links.size());
    for (size_t layer = 0; layer < point.links.size(); ++layer) {
      layers_[layer].rows.push_back(static_cast<uint32_t>(name_of_row_.size() - 1));
      for (const std::string& id : point.links[layer]) layers_[layer].names.push_back(intern(id));
      layers_[layer].begin.push_back(layers_[layer].names.size());
    }
  }

  Status write_ids() {
    size_t longest = 1;
    for (uint32_t name : name_of_row_) longest = std::max(longest, decode_utf8(*text_of_name_[name]).size());
    VS_ASSIGN_OR_RETURN(NpyWriter file, NpyWriter::create(directory_ + "/ids.npy", "<U" + std::to_string(longest), 0));
    for (uint32_t name : name_of_row_) {
      std::u32string text = decode_utf8(*text_of_name_[name]);
      text.resize(longest);
      VS_RETURN_IF_ERROR(file.append(text.data(), text.size() * sizeof(char32_t)));
    }
    return file.finish(count());
  }

  Status write_links(size_t index) {
    const Layer& layer = layers_[index];
    size_t width = index == 0 ? 2 * m_ : m_;
    for (size_t i = 0; i + 1 < layer.begin.size(); ++i) width = std::max(width, layer.begin[i + 1] - layer.begin[i]);
    const std::string path = directory_ + "/links_" + std::to_string(index) + ".npy";
    VS_ASSIGN_OR_RETURN(NpyWriter file, NpyWriter::create(path, "<i4", width));
    std::vector<int32_t> row(width);
    size_t i = 0;
    for (uint32_t number = 0; number < name_of_row_.size(); ++number) {
      std::fill(row.begin(), row.end(), kNoRow);
      if (i < layer.rows.size() && layer.rows[i] == number) {
        size_t filled = 0;
        // A neighbour without a row was deleted or added while the export ran.
        for (size_t link = layer.begin[i]; link < layer.begin[i + 1]; ++link)
          if (const int32_t to = row_of_name_[layer.names[link]]; to != kNoRow) row[filled++] = to;
        ++i;
      }
      VS_RETURN_IF_ERROR(file.append(row.data(), row.size() * sizeof(int32_t)));
    }
    return file.finish(count());
  }

  const std::string directory_;
  const size_t dim_;
  const size_t m_;
  NpyWriter vectors_;
  OutputFile attributes_;
  // Every id that occurs, as a point or in a link, has a number, its name.
  std::unordered_map<std::string, uint32_t> names_;
  std::vector<const std::string*> text_of_name_;  // the map's keys, whose addresses do not change
  std::vector<int32_t> row_of_name_;
  std::vector<uint32_t> name_of_row_;
  std::vector<Layer> layers_;
};

}  // namespace

Result<std::unique_ptr<Exporter>> make_numpy_exporter(const std::string& directory, const ExportInfo& info) {
  const auto number = [&info](const char* field) {
    const auto value = info.stats.find(field);
    return value != info.stats.end() && value->is_number_unsigned() ? value->get<size_t>() : size_t{0};
  };
  const size_t dim = number("dim");
  if (dim == 0) return Status{Code::kBadRequest, "expected the collection's dim from the daemon; got none"};
  VS_ASSIGN_OR_RETURN(NpyWriter vectors, NpyWriter::create(directory + "/vectors.npy", "<f4", dim));
  VS_ASSIGN_OR_RETURN(OutputFile attributes, OutputFile::create(directory + "/attributes.jsonl"));
  return std::unique_ptr<Exporter>(
      std::make_unique<NumpyExporter>(directory, dim, number("m"), std::move(vectors), std::move(attributes)));
}

}  // namespace vs::cli
