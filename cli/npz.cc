// NPZ files of NumPy: a ZIP archive of NPY files, stored or deflated. `vectors` are the vectors, or else the only array of two
// dimensions; `ids` and `labels` are used when they are there. In vsctl's own exports attributes.jsonl and meta.json lie
// beside them.
#include <algorithm>

#include "cli/bundle.h"
#include "cli/context.h"
#include "cli/labels.h"
#include "cli/npy.h"
#include "cli/row_text.h"
#include "cli/table.h"
#include "cli/zip_archive.h"

namespace vs::cli {
namespace {

constexpr std::string_view kSuffix = ".npy";
constexpr size_t kArraysShown = 20;

std::string shape_text(const std::vector<uint64_t>& shape) {
  std::string out = "(";
  for (size_t i = 0; i < shape.size(); ++i) out += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return out + (shape.size() == 1 ? ",)" : ")");
}

class Npz {
 public:
  Npz(std::string path, ZipArchive archive) : path_(std::move(path)), archive_(std::move(archive)) {}

  Result<Bundle> open(const RowOptions& options) const {
    VS_ASSIGN_OR_RETURN(const std::string name, name_of_vectors());
    VS_ASSIGN_OR_RETURN(Array vectors, array(name));
    if (vectors.shape().size() < 2)
      return failed(
          name, {Code::kBadRequest, "expected rows of vectors, so two dimensions; got " + shape_text(vectors.shape())});
    Bundle bundle{.vectors = std::move(vectors)};
    if (!options.other_ids && has("ids")) VS_RETURN_IF_ERROR(read_ids(bundle));
    if (!options.other_attributes) {
      if (has_member("attributes.jsonl"))
        VS_RETURN_IF_ERROR(read_attributes(bundle));
      else if (has("labels"))
        VS_RETURN_IF_ERROR(read_labels(bundle));
    }
    if (has_member("meta.json")) read_settings(bundle);
    return bundle;
  }

 private:
  bool has_member(const std::string& member) const {
    return std::find(archive_.names().begin(), archive_.names().end(), member) != archive_.names().end();
  }
  bool has(const std::string& name) const { return has_member(name + std::string(kSuffix)); }

  // In messages an array is called FILE[NAME], as NumPy's users write it.
  std::string place(const std::string& name) const { return path_ + "[" + printable(name) + "]"; }
  Status failed(const std::string& name, const Status& status) const {
    return {status.code(), place(name) + ": " + status.message()};
  }

  Result<Array> array(const std::string& name) const {
    return Array::open(place(name), archive_.member(name + std::string(kSuffix)), ArrayFormat::kNpy);
  }

  Result<std::string> name_of_vectors() const {
    if (has("vectors")) return std::string("vectors");
    std::vector<std::string> found;
    std::string listed;
    size_t arrays = 0;
    for (const std::string& member : archive_.names()) {
      if (!member.ends_with(kSuffix)) continue;
      const std::string name = member.substr(0, member.size() - kSuffix.size());
      auto content = archive_.member(member);
      if (!content.ok()) return failed(name, content.status());
      const auto head = content->head(kNpyHeaderBytesMax);
      if (!head.ok()) return failed(name, head.status());
      const auto header = describe_npy(*head);
      if (header.ok() && header->shape.size() == 2) found.push_back(name);
      if (++arrays > kArraysShown) continue;
      listed += (listed.empty() ? "" : ", ") + printable(name);
      listed += header.ok() ? " " + shape_text(header->shape) + " " + header->descr : " (no array)";
    }
    if (found.size() == 1) return found.front();
    if (arrays > kArraysShown) listed += ", …";
    return Status{Code::kBadRequest, path_ + ": expected an array 'vectors', or only one of two dimensions; " +
                                         (arrays == 0 ? "the file has no arrays" : "there are: " + listed) +
                                         ". Save it with numpy.savez(FILE, vectors=…, ids=…, labels=…)"};
  }

  // Strings, or whole numbers.
  Status read_ids(Bundle& bundle) const {
    VS_ASSIGN_OR_RETURN(bundle.ids, strings("ids"));
    VS_RETURN_IF_ERROR(check_ids(bundle.ids, "", place("ids"), Unit::kRow));
    return expect_rows("ids", bundle.ids.size(), bundle);
  }

  // Integers, or strings, which become attributes like them.
  Status read_labels(Bundle& bundle) const {
    VS_ASSIGN_OR_RETURN(const std::string descr, descr_of("labels"));
    if (descr.starts_with("<U")) {
      VS_ASSIGN_OR_RETURN(const std::vector<std::string> labels, strings("labels"));
      for (const std::string& label : labels) bundle.attributes.push_back(label_attributes(string_json(label)));
    } else {
      VS_ASSIGN_OR_RETURN(const std::vector<int64_t> labels, integers("labels"));
      for (const int64_t label : labels) bundle.attributes.push_back(label_attributes(std::to_string(label)));
    }
    return expect_rows("labels", bundle.attributes.size(), bundle);
  }

  Status read_attributes(Bundle& bundle) const {
    constexpr const char* kName = "attributes.jsonl";
    const auto text = archive_.text(kName);
    if (!text.ok()) return failed(kName, text.status());
    for (std::string_view left = *text; !left.empty();) {
      const size_t end = std::min(left.find('\n'), left.size());
      VS_RETURN_IF_ERROR(append_attributes(place(kName), left.substr(0, end), bundle.attributes));
      left.remove_prefix(std::min(end + 1, left.size()));
    }
    return expect_rows(kName, bundle.attributes.size(), bundle);
  }

  Status expect_rows(const std::string& name, uint64_t rows, const Bundle& bundle) const {
    if (rows == bundle.vectors.rows()) return {};
    return failed(name,
                  {Code::kBadRequest, "expected one a row of the vectors, " + std::to_string(bundle.vectors.rows()) +
                                          "; got " + std::to_string(rows)});
  }

  Result<std::string> descr_of(const std::string& name) const {
    auto content = archive_.member(name + std::string(kSuffix));
    if (!content.ok()) return failed(name, content.status());
    const auto head = content->head(kNpyHeaderBytesMax);
    if (!head.ok()) return failed(name, head.status());
    const auto header = describe_npy(*head);
    if (!header.ok()) return failed(name, header.status());
    return header->descr;
  }

  Result<std::vector<int64_t>> integers(const std::string& name) const {
    VS_ASSIGN_OR_RETURN(const Array values, array(name));
    if (values.shape().size() != 1 || !values.integers())
      return failed(name, {Code::kBadRequest, "expected one whole number a row; got " + shape_text(values.shape()) +
                                                  (values.integers() ? "" : " of floats")});
    return values.all_integers();
  }

  Result<std::vector<std::string>> strings(const std::string& name) const {
    VS_ASSIGN_OR_RETURN(const std::string descr, descr_of(name));
    if (descr.find('U') == std::string::npos && descr.find('S') == std::string::npos) {
      VS_ASSIGN_OR_RETURN(const std::vector<int64_t> numbers, integers(name));
      std::vector<std::string> out;
      for (const int64_t number : numbers) out.push_back(std::to_string(number));
      return out;
    }
    const auto text = archive_.text(name + std::string(kSuffix));
    if (!text.ok()) return failed(name, text.status());
    auto out = parse_npy_strings(*text);
    if (!out.ok()) return failed(name, out.status());
    return out;
  }

  // The settings of the collection that an export was made of. Another program's meta.json says nothing about one.
  void read_settings(Bundle& bundle) const {
    const auto text = archive_.text("meta.json");
    const nlohmann::ordered_json meta = text.ok() ? parse_json(*text) : nlohmann::ordered_json();
    if (!meta.is_object() || meta.value("format", nlohmann::ordered_json()) != "vsd-export") return;
    for (const char* name : {"metric", "m", "ef_construction", "ml", "ef_search", "codes"}) {
      const auto value = meta.find(name);
      if (value == meta.end() || !value->is_primitive()) continue;
      const std::string word = cell_text(*value, false);
      const bool bare = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '.' || c == '-' || c == '+';
      });
      if (bare) bundle.settings.emplace_back(name, word);
    }
  }

  const std::string path_;
  const ZipArchive archive_;
};

}  // namespace

Result<Bundle> open_npz(const std::string& path, InputStream stream, const RowOptions& options) {
  auto archive = ZipArchive::open(path, std::move(stream));
  if (!archive.ok()) return Status{archive.status().code(), path + ": " + archive.status().message()};
  return Npz(path, *std::move(archive)).open(options);
}

}  // namespace vs::cli
