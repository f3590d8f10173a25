// What the exports of one row a point share: which ids have become rows, their links by row numbers, and the files ids.npy
// and attributes.jsonl.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/export.h"
#include "cli/file.h"

namespace vs::cli {

// A link may name a point that comes later, so links stay in memory until all points have come.
class ExportRows {
 public:
  // The point becomes the next row; false if it has one already: it was replaced during the scan, and comes again.
  bool add(const PointData& point);

  uint32_t count() const { return static_cast<uint32_t>(name_of_row_.size()); }
  const std::string& id(uint32_t row) const { return *text_of_name_[name_of_row_[row]]; }
  // The highest layer of the row, -1 if it came without links; of all rows, -1 if there are none.
  int level(uint32_t row) const;
  int level_max() const;
  // The rows that it has links to on this layer, each once. A link is left out if its target was deleted or added while
  // the scan ran, or has become a row of fewer layers in between.
  std::vector<uint32_t> links(uint32_t row, int layer) const;

 private:
  static constexpr uint32_t kNoRow = UINT32_MAX;

  uint32_t intern(const std::string& id);

  // Every id that occurs, as a point or in a link, has a number, its name.
  std::unordered_map<std::string, uint32_t> names_;
  std::vector<const std::string*> text_of_name_;  // the map's keys, whose addresses do not change
  std::vector<uint32_t> row_of_name_;
  std::vector<uint32_t> name_of_row_;
  // The lists of row r are first_list_[r] up to first_list_[r + 1], one a layer; list i is targets_[list_begin_[i]] up to
  // targets_[list_begin_[i + 1]], names.
  std::vector<size_t> first_list_ = {0};
  std::vector<size_t> list_begin_ = {0};
  std::vector<uint32_t> targets_;
};

// Writes vectors and attributes as they come. A subclass says how vectors are written, and what else there is.
class RowsExporter : public Exporter {
 public:
  std::string with() const override { return "vector,attributes"; }
  Status add(const std::vector<PointData>& points) override;
  uint64_t count() const override { return rows_.count(); }

 protected:
  RowsExporter(std::string directory, size_t dim, OutputFile attributes)
      : directory_(std::move(directory)), dim_(dim), attributes_(std::move(attributes)) {}

  virtual Status append(std::span<const float> vector) = 0;
  const ExportRows& rows() const { return rows_; }
  std::string file(const std::string& name) const { return directory_ + "/" + name; }
  // Completes attributes.jsonl and writes ids.npy.
  Status finish_rows();
  Status write_json(const std::string& name, const nlohmann::ordered_json& json) const;

  const std::string directory_;
  const size_t dim_;

 private:
  OutputFile attributes_;
  ExportRows rows_;
};

// "dim", "m" and such of a collection; 0 if the daemon did not say.
size_t setting(const ExportInfo& info, const char* name);
// Likewise, but 0 is an error. Errors: kBadRequest.
Result<size_t> required_dim(const ExportInfo& info);

}  // namespace vs::cli
