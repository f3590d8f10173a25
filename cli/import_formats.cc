#include "cli/import_formats.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>

#include "cli/bundle.h"
#include "cli/csv.h"
#include "cli/idx.h"
#include "cli/jsonl.h"
#include "cli/npy.h"
#include "cli/zip_archive.h"

namespace vs::cli {
namespace {

constexpr size_t kHeadBytes = 4u << 10;

using Opened = Result<std::unique_ptr<RowReader>>;

class ArrayRows : public RowReader {
 public:
  ArrayRows(Bundle bundle, const Scale& scale, bool whole) : bundle_(std::move(bundle)), scale_(scale), whole_(whole) {}

  uint64_t columns() const override { return bundle_.vectors.columns(); }
  std::optional<uint64_t> rows() const override { return bundle_.vectors.rows(); }
  bool gives_ids() const override { return !bundle_.ids.empty(); }
  bool whole() const override { return whole_; }
  CollectionSettings settings() const override { return bundle_.settings; }

  Result<bool> next(Row& row) override {
    const Array& vectors = bundle_.vectors;
    if (next_ == vectors.rows()) return false;
    const uint64_t columns = vectors.columns();
    if (const uint64_t at = next_ % kBufferedRows; at == 0) {
      buffer_.resize(std::min(kBufferedRows, vectors.rows() - next_) * columns);
      VS_RETURN_IF_ERROR(vectors.read_floats(next_, scale_, buffer_));
    }
    const auto begin = buffer_.begin() + static_cast<ptrdiff_t>(next_ % kBufferedRows * columns);
    row = {};
    row.vector.assign(begin, begin + static_cast<ptrdiff_t>(columns));
    if (!bundle_.ids.empty()) row.id = bundle_.ids[next_];
    if (!bundle_.attributes.empty()) row.attributes = bundle_.attributes[next_];
    ++next_;
    return true;
  }

 private:
  static constexpr uint64_t kBufferedRows = 64;

  const Bundle bundle_;
  const Scale scale_;
  const bool whole_;
  uint64_t next_ = 0;
  std::vector<float> buffer_;  // rows from the last multiple of kBufferedRows on
};

template <ArrayFormat kFormat>
Opened open_array(const std::string& path, InputStream stream, const RowOptions& options) {
  VS_ASSIGN_OR_RETURN(Array array, Array::open(path, Content::open(path, std::move(stream)), kFormat));
  if (array.shape().size() == 1)
    return Status{Code::kBadRequest,
                  "expected rows of vectors, so at least two dimensions; got one, of " +
                      std::to_string(array.shape().front()) +
                      " numbers. Labels are given with --labels FILE beside the file of the vectors"};
  return std::unique_ptr<RowReader>(
      std::make_unique<ArrayRows>(Bundle{.vectors = std::move(array)}, options.scale, false));
}

Opened whole_collection(Result<Bundle> bundle, const RowOptions& options) {
  if (!bundle.ok()) return bundle.status();
  return std::unique_ptr<RowReader>(std::make_unique<ArrayRows>(*std::move(bundle), options.scale, true));
}

Opened open_npz_rows(const std::string& path, InputStream stream, const RowOptions& options) {
  return whole_collection(open_npz(path, std::move(stream), options), options);
}

Opened open_csv_rows(const std::string&, InputStream stream, const RowOptions& options) {
  return open_csv(std::move(stream), options);
}

Opened open_jsonl_rows(const std::string&, InputStream stream, const RowOptions& options) {
  return open_jsonl(std::move(stream), options);
}

template <bool (*kLooks)(std::span<const uint8_t>)>
bool begins(std::string_view head) {
  return kLooks(std::span(reinterpret_cast<const uint8_t*>(head.data()), head.size()));
}

// More than the brace, which is also how an fvecs file of 123 dimensions begins.
bool json_begins(std::string_view head) {
  head.remove_prefix(std::min(head.find_first_not_of(" \t\r\n"), head.size()));
  return head.size() > 1 && head[0] == '{' && std::string_view("\" }").find(head[1]) != std::string_view::npos;
}

// A line of text with a comma.
bool csv_begins(std::string_view head) {
  const std::string_view line = head.substr(0, head.find_first_of("\r\n"));
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' && c != '\t'; };
  return line.find(',') != std::string_view::npos && std::none_of(line.begin(), line.end(), is_control);
}

struct FileFormat {
  std::string_view name;
  std::vector<std::string_view> extensions;  // with a further .gz, too
  bool (*begins)(std::string_view head);     // whether the first bytes show it; null if only the name can
  Opened (*open)(const std::string& path, InputStream stream, const RowOptions& options);  // null of a folder
};

constexpr std::string_view kSeed = "seed";

// In the order in which their first bytes are looked at. The fvecs family has no magic number.
const std::array kFormats = {
    FileFormat{"npy", {".npy"}, begins<looks_like_npy>, open_array<ArrayFormat::kNpy>},
    FileFormat{"npz", {".npz"}, begins<looks_like_zip>, open_npz_rows},
    FileFormat{"idx", {}, begins<looks_like_idx>, open_array<ArrayFormat::kIdx>},
    FileFormat{"jsonl", {".jsonl", ".ndjson"}, json_begins, open_jsonl_rows},
    FileFormat{"csv", {".csv"}, csv_begins, open_csv_rows},
    FileFormat{"fvecs", {".fvecs"}, nullptr, open_array<ArrayFormat::kFvecs>},
    FileFormat{"bvecs", {".bvecs"}, nullptr, open_array<ArrayFormat::kBvecs>},
    FileFormat{"ivecs", {".ivecs"}, nullptr, open_array<ArrayFormat::kIvecs>},
    FileFormat{kSeed, {}, nullptr, nullptr},
};

std::string all_names() {
  std::string names;
  for (const std::string& name : import_format_names()) names += (names.empty() ? "" : "|") + name;
  return names;
}

Result<const FileFormat*> guess(const std::string& path, std::string_view head) {
  for (const FileFormat& format : kFormats)
    if (format.begins != nullptr && format.begins(head)) return &format;
  const std::string_view name = std::string_view(path).substr(0, path.size() - (path.ends_with(".gz") ? 3 : 0));
  for (const FileFormat& format : kFormats)
    for (const std::string_view extension : format.extensions)
      if (name.ends_with(extension)) return &format;
  return Status{Code::kBadRequest,
                "neither the first bytes nor the name show which format it is; say --format " + all_names()};
}

}  // namespace

std::vector<std::string> import_format_names() {
  std::vector<std::string> names;
  for (const FileFormat& format : kFormats) names.emplace_back(format.name);
  return names;
}

Opened open_rows(const std::string& path, const std::string& format, const RowOptions& options) {
  std::error_code ignored;  // what cannot be looked at, cannot be opened either, which says why
  if (format == kSeed || (format.empty() && std::filesystem::is_directory(path, ignored)))
    return whole_collection(open_seed(path, options), options);
  VS_ASSIGN_OR_RETURN(InputStream stream, InputStream::open(path));
  const FileFormat* chosen = nullptr;
  for (const FileFormat& known : kFormats)
    if (known.name == format) chosen = &known;
  if (chosen == nullptr) {
    VS_ASSIGN_OR_RETURN(const std::string_view head, stream.peek(kHeadBytes));
    if (head.empty()) return Status{Code::kBadRequest, "expected rows of vectors, but there is not a single byte"};
    VS_ASSIGN_OR_RETURN(chosen, guess(path, head));
  }
  return chosen->open(path, std::move(stream), options);
}

}  // namespace vs::cli
