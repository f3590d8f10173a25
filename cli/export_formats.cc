#include <algorithm>
#include <array>

#include "cli/export.h"

namespace vs::cli {
namespace {

constexpr std::array kFormats = {
    ExportFormat{.name = "numpy", .file = "", .make = make_numpy_exporter},
    ExportFormat{.name = "npz", .file = "points.npz", .make = make_npz_exporter},
    ExportFormat{.name = "json", .file = "points.json", .make = make_json_exporter},
    ExportFormat{.name = "jsonl", .file = "points.jsonl", .make = make_jsonl_exporter},
    ExportFormat{.name = "fvecs", .file = "", .make = make_fvecs_exporter},
    ExportFormat{.name = "seed", .file = "", .make = make_seed_exporter},
};

}  // namespace

std::span<const ExportFormat> export_formats() { return kFormats; }

const ExportFormat* find_export_format(std::string_view name) {
  const auto found = std::find_if(kFormats.begin(), kFormats.end(),
                                  [name](const ExportFormat& format) { return format.name == name; });
  return found == kFormats.end() ? nullptr : &*found;
}

}  // namespace vs::cli
