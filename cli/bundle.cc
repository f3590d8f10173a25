#include "cli/bundle.h"

#include <filesystem>

#include "cli/zip_archive.h"

namespace vs::cli {
namespace {

Result<std::optional<Bundle>> present(Result<Bundle> bundle) {
  if (!bundle.ok()) return bundle.status();
  return std::optional<Bundle>(*std::move(bundle));
}

}  // namespace

Result<std::optional<Bundle>> open_bundle(const std::string& path, const std::string& format) {
  constexpr size_t kSignatureBytes = 4;
  std::error_code ignored;  // what cannot be looked at, cannot be opened either, which says why
  if (format == "seed" || (format == "guess" && std::filesystem::is_directory(path, ignored)))
    return present(open_seed(path));
  if (format == "npz") return present(open_npz(path));
  if (format != "guess") return std::optional<Bundle>();
  auto content = Content::open(path);
  if (!content.ok()) return Status{content.status().code(), path + ": " + content.status().message()};
  const auto head = content->head(kSignatureBytes);
  if (head.ok() && looks_like_zip(*head)) return present(open_npz(path));
  return std::optional<Bundle>();
}

}  // namespace vs::cli
