#include "cli/export_target.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cli/file.h"

namespace vs::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMark = "meta.json";
constexpr const char* kStagingName = "export.tmp";

Status failed(const std::string& what, const std::error_code& error) {
  return {Code::kIoError, "cannot " + what + ": " + error.message()};
}

// Every file that one of the formats writes, the mark first.
std::vector<std::string> exported_names() {
  std::vector<std::string> names = {kMark};
  for (const ExportFormat& format : export_formats())
    if (!format.file.empty()) names.emplace_back(format.file);
  for (const char* name : {"vectors.npy", "vectors.fvecs", "ids.npy", "attributes.jsonl", "levels.npy",
                           "tombstones.npy", "graph.json", "export.json"})
    names.emplace_back(name);
  for (int layer = 0; layer <= limits::kLayerMax; ++layer) names.push_back("links_" + std::to_string(layer) + ".npy");
  return names;
}

Result<std::vector<std::string>> names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error) return failed("read the directory " + directory, error);
  return names;
}

Status exists(const std::string& what) {
  return {Code::kExists, what + "; name another place, or say --force to replace an earlier export"};
}

}  // namespace

struct ExportTarget::State {
  std::string directory;  // that the files come to
  std::string file;       // their name there, if it is only one; else empty
  std::string staging;
  int lock = -1;                // the staging directory
  bool made_directory = false;  // it was not there before
  bool published = false;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    std::error_code ignored;  // what stays is in nobody's way, and goes with the next export
    if (lock >= 0) {
      fs::remove_all(staging, ignored);
      ::close(lock);
    }
    if (made_directory && !published) fs::remove(directory, ignored);
  }

  // An export that was killed has left it, or another one is writing there.
  Status make_staging() {
    std::error_code error;
    fs::create_directory(staging, error);
    if (error) return failed("make the directory " + staging, error);
    const int opened = ::open(staging.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0 || ::flock(opened, LOCK_EX | LOCK_NB) != 0) {
      const int why = errno;
      if (opened >= 0) ::close(opened);
      if (why == EWOULDBLOCK) return {Code::kExists, "another export is being written to " + directory + " now"};
      return failed("open the directory " + staging, std::error_code(why, std::generic_category()));
    }
    lock = opened;
    VS_ASSIGN_OR_RETURN(const std::vector<std::string> left, names_in(staging));
    for (const std::string& name : left)
      if (fs::remove_all(fs::path(staging) / name, error); error)
        return failed("remove " + staging + "/" + name, error);
    return {};
  }

  Status remove(const std::string& name) const {
    std::error_code error;
    fs::remove(fs::path(directory) / name, error);
    return error ? failed("remove the old " + directory + "/" + name, error) : Status();
  }

  Status move(const std::string& name) const {
    std::error_code error;
    fs::rename(fs::path(staging) / name, fs::path(directory) / (file.empty() ? name : file), error);
    return error ? failed("move " + name + " to " + directory, error) : Status();
  }

  Status publish() {
    VS_ASSIGN_OR_RETURN(std::vector<std::string> names, names_in(staging));
    // The mark last.
    std::stable_partition(names.begin(), names.end(), [](const std::string& name) { return name != kMark; });
    if (file.empty()) {
      // One that begins to be replaced is no longer whole. A file of its own is, also beside others that go.
      VS_RETURN_IF_ERROR(remove(kMark));
      VS_RETURN_IF_ERROR(sync_directory(directory));
      for (const std::string& old : exported_names())
        if (std::find(names.begin(), names.end(), old) == names.end()) VS_RETURN_IF_ERROR(remove(old));
    }
    for (const std::string& name : names) {
      if (name == kMark) VS_RETURN_IF_ERROR(sync_directory(directory));
      VS_RETURN_IF_ERROR(move(name));
    }
    published = true;
    return sync_directory(directory);
  }
};

ExportTarget::ExportTarget(std::unique_ptr<State> state) : state_(std::move(state)) {}
ExportTarget::ExportTarget(ExportTarget&&) noexcept = default;
ExportTarget& ExportTarget::operator=(ExportTarget&&) noexcept = default;
ExportTarget::~ExportTarget() = default;

const std::string& ExportTarget::staging() const { return state_->staging; }
bool ExportTarget::is_file() const { return !state_->file.empty(); }
Status ExportTarget::publish() { return state_->publish(); }

Result<ExportTarget> ExportTarget::prepare(const std::string& path, const ExportFormat& format, bool force) {
  auto state = std::make_unique<State>();
  std::error_code error;
  const fs::path place(path);
  if (!format.file.empty() && place.extension() == fs::path(format.file).extension() &&
      !fs::is_directory(place, error)) {
    if (fs::exists(place, error) && !force) return exists("the file " + path + " is there already");
    state->directory = place.has_parent_path() ? place.parent_path().string() : ".";
    state->file = place.filename().string();
    state->staging = path + ".tmp";
    if (!fs::is_directory(state->directory, error))
      return Status{Code::kIoError, "there is no directory " + state->directory + " for " + path};
    VS_RETURN_IF_ERROR(state->make_staging());
    return ExportTarget(std::move(state));
  }
  state->made_directory = fs::create_directories(place, error);
  if (error || !fs::is_directory(place, error))
    return Status{Code::kIoError, "cannot make the directory " + path +
                                      (error ? ": " + error.message() : ": something else has this name")};
  state->directory = path;
  state->staging = path + "/" + kStagingName;
  VS_ASSIGN_OR_RETURN(const std::vector<std::string> there, names_in(path));
  if (!force && std::any_of(there.begin(), there.end(), [](const std::string& name) { return name != kStagingName; }))
    return exists("the directory " + path + " is not empty");
  VS_RETURN_IF_ERROR(state->make_staging());
  return ExportTarget(std::move(state));
}

}  // namespace vs::cli
