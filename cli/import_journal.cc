#include "cli/import_journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

namespace vs::cli {
namespace {

using nlohmann::ordered_json;

constexpr int kVersion = 1;

Status failed(const std::string& path) { return {Code::kIoError, "cannot keep " + path + ": " + std::strerror(errno)}; }

std::optional<uint64_t> number(const ordered_json& object, const char* name) {
  const auto member = object.find(name);
  if (member == object.end() || !member->is_number_unsigned()) return std::nullopt;
  return member->get<uint64_t>();
}

std::string absolute(const std::string& path) {
  std::error_code error;
  const std::string full = std::filesystem::absolute(path, error).lexically_normal().string();
  return error || path == "-" ? path : full;
}

// The next whole line as a JSON object; nullopt at the end, or where the text is none.
std::optional<ordered_json> take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  auto object = ordered_json::parse(text.substr(0, end), nullptr, /*allow_exceptions=*/false);
  text.remove_prefix(end + 1);
  if (!object.is_object()) return std::nullopt;
  return object;
}

}  // namespace

std::optional<std::string> journal_path(const Environment& environment, const std::string& collection,
                                        const std::vector<std::string>& files) {
  std::string folder;
  if (const auto state = environment("XDG_STATE_HOME"))
    folder = *state;
  else if (const auto home = environment("HOME"))
    folder = *home + "/.local/state";
  else
    return std::nullopt;
  std::string key;
  for (const std::string& file : files) key += absolute(file) + '\0';
  char hash[17];
  std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(XXH3_64bits(key.data(), key.size())));
  return folder + "/vsctl/import-" + collection + "-" + hash + ".jsonl";
}

std::optional<ImportState> parse_journal(std::string_view text) {
  const auto header = take_line(text);
  if (!header || number(*header, "vsctl_import") != kVersion) return std::nullopt;
  const auto seed = number(*header, "seed");
  if (!seed) return std::nullopt;
  std::optional<ImportState> last;
  while (const auto line = take_line(text)) {
    const auto mark = number(*line, "mark");
    const auto limit = number(*line, "limit");
    const auto digest = number(*line, "digest");
    const auto lsn = number(*line, "lsn");
    const auto rejected = number(*line, "rejected");
    if (!mark || !limit || !digest || !lsn || !rejected || *mark > *limit || *rejected > *mark) break;
    last = ImportState{*seed, {*mark, *digest, *rejected}, *limit, *lsn};
  }
  return last;
}

struct ImportJournal::File {
  std::string path;
  int descriptor = -1;
  std::optional<ImportState> found;
  bool empty = false;  // to be removed

  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor < 0) return;
    if (empty) ::unlink(path.c_str());
    ::close(descriptor);
  }

  Status write(const std::string& line) {
    empty = false;
    if (::write(descriptor, line.data(), line.size()) == static_cast<ssize_t>(line.size())) return {};
    return failed(path);
  }
};

ImportJournal::ImportJournal(std::unique_ptr<File> file) : file_(std::move(file)) {}
ImportJournal::ImportJournal(ImportJournal&&) noexcept = default;
ImportJournal& ImportJournal::operator=(ImportJournal&&) noexcept = default;
ImportJournal::~ImportJournal() = default;

Result<ImportJournal> ImportJournal::open(const std::string& path) {
  auto file = std::make_unique<File>();
  file->path = path;
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  for (;;) {
    file->descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file->descriptor < 0) return failed(path);
    if (::flock(file->descriptor, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) return failed(path);
      return Status{Code::kBusy,
                    "another import of the same files into the same collection is running; wait for its end"};
    }
    // The import that had the lock may just have removed the file.
    struct stat ours {};
    struct stat named {};
    if (::fstat(file->descriptor, &ours) == 0 && ::stat(path.c_str(), &named) == 0 && ours.st_ino == named.st_ino)
      break;
    ::close(std::exchange(file->descriptor, -1));
  }
  const auto text = read_text_file(path);
  if (!text.ok()) return text.status();
  file->found = parse_journal(*text);
  file->empty = !file->found;
  return ImportJournal(std::move(file));
}

const std::optional<ImportState>& ImportJournal::found() const { return file_->found; }

Status ImportJournal::begin(const std::string& collection, uint64_t seed, const std::vector<std::string>& files) {
  file_->found.reset();
  if (::ftruncate(file_->descriptor, 0) != 0) return failed(file_->path);
  ordered_json paths = ordered_json::array();
  for (const std::string& path : files) paths.push_back(absolute(path));
  const ordered_json header = {
      {"vsctl_import", kVersion}, {"collection", collection}, {"seed", seed}, {"files", std::move(paths)}};
  return file_->write(header.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
}

Status ImportJournal::append(const ImportState& state, Sync sync) {
  const ordered_json line = {{"mark", state.mark.rows},
                             {"limit", state.limit},
                             {"digest", state.mark.digest},
                             {"lsn", state.lsn},
                             {"rejected", state.mark.rejected}};
  VS_RETURN_IF_ERROR(file_->write(line.dump() + "\n"));
  return sync == Sync::kNo || ::fdatasync(file_->descriptor) == 0 ? Status() : failed(file_->path);
}

void ImportJournal::remove() { file_->empty = true; }

}  // namespace vs::cli
