#include "cli/export_rows.h"

#include <algorithm>

#include "cli/npy.h"

namespace vs::cli {
namespace {

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

}  // namespace

bool ExportRows::add(const PointData& point) {
  const uint32_t name = intern(point.id);
  if (row_of_name_[name] != kNoRow) return false;
  row_of_name_[name] = count();
  name_of_row_.push_back(name);
  for (const std::vector<std::string>& layer : point.links) {
    for (const std::string& id : layer) targets_.push_back(intern(id));
    list_begin_.push_back(targets_.size());
  }
  first_list_.push_back(list_begin_.size() - 1);
  return true;
}

uint32_t ExportRows::intern(const std::string& id) {
  const auto [place, added] = names_.try_emplace(id, static_cast<uint32_t>(names_.size()));
  if (added) {
    row_of_name_.push_back(kNoRow);
    text_of_name_.push_back(&place->first);
  }
  return place->second;
}

int ExportRows::level(uint32_t row) const { return static_cast<int>(first_list_[row + 1] - first_list_[row]) - 1; }

int ExportRows::level_max() const {
  int level_max = -1;
  for (uint32_t row = 0; row < count(); ++row) level_max = std::max(level_max, level(row));
  return level_max;
}

std::vector<uint32_t> ExportRows::links(uint32_t row, int layer) const {
  std::vector<uint32_t> out;
  if (layer > level(row)) return out;
  const size_t list = first_list_[row] + static_cast<size_t>(layer);
  for (size_t i = list_begin_[list]; i < list_begin_[list + 1]; ++i) {
    const uint32_t to = row_of_name_[targets_[i]];
    if (to == kNoRow || to == row || level(to) < layer) continue;
    if (std::find(out.begin(), out.end(), to) == out.end()) out.push_back(to);
  }
  return out;
}

Status RowsExporter::add(const std::vector<PointData>& points) {
  for (const PointData& point : points) {
    if (point.vector.size() != dim_)
      return {Code::kBadRequest, "expected vectors of " + std::to_string(dim_) + " numbers from the daemon; got " +
                                     std::to_string(point.vector.size())};
    if (!rows_.add(point)) continue;
    VS_RETURN_IF_ERROR(append(point.vector));
    VS_RETURN_IF_ERROR(attributes_.write((point.attributes.empty() ? "{}" : point.attributes) + "\n"));
  }
  return {};
}

Status RowsExporter::finish_rows() {
  VS_RETURN_IF_ERROR(attributes_.commit());
  size_t longest = 1;
  for (uint32_t row = 0; row < rows_.count(); ++row) longest = std::max(longest, decode_utf8(rows_.id(row)).size());
  VS_ASSIGN_OR_RETURN(NpyWriter ids, NpyWriter::create(file("ids.npy"), "<U" + std::to_string(longest), 0));
  for (uint32_t row = 0; row < rows_.count(); ++row) {
    std::u32string text = decode_utf8(rows_.id(row));
    text.resize(longest);
    VS_RETURN_IF_ERROR(ids.append(text.data(), text.size() * sizeof(char32_t)));
  }
  return ids.finish(rows_.count());
}

Status RowsExporter::write_json(const std::string& name, const nlohmann::ordered_json& json) const {
  VS_ASSIGN_OR_RETURN(OutputFile out, OutputFile::create(file(name)));
  VS_RETURN_IF_ERROR(out.write(json.dump(2) + "\n"));
  return out.commit();
}

size_t setting(const ExportInfo& info, const char* name) {
  const auto value = info.stats.find(name);
  return value != info.stats.end() && value->is_number_unsigned() ? value->get<size_t>() : 0;
}

Result<size_t> required_dim(const ExportInfo& info) {
  const size_t dim = setting(info, "dim");
  if (dim == 0) return Status{Code::kBadRequest, "expected the collection's dim from the daemon; got none"};
  return dim;
}

}  // namespace vs::cli
