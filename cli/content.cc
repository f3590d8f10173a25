#include "cli/content.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace vs::cli {

struct Content::Source {
  int file = -1;  // of a plain file, or of the temporary one
  uint64_t file_bytes = 0;
  std::optional<InputStream> gzip;
  std::vector<uint8_t> unpacked;  // of a gzip file, as far as it was needed

  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source() {
    if (file >= 0) ::close(file);
  }
};

namespace {

Status errno_status(const char* what) { return {Code::kIoError, std::string(what) + ": " + std::strerror(errno)}; }

Status read_plain(int file, uint64_t offset, std::span<uint8_t> out) {
  while (!out.empty()) {
    const ssize_t got = ::pread(file, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_status("cannot read");
    if (got == 0) return {Code::kIoError, "the file became shorter while it was read"};
    out = out.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return {};
}

// Appends what the gzip stream gives, until `bytes` bytes are there or the stream ends.
Status unpack_to(Content::Source& source, uint64_t bytes) {
  std::vector<uint8_t>& unpacked = source.unpacked;
  while (unpacked.size() < bytes) {
    VS_ASSIGN_OR_RETURN(const std::string_view buffered, source.gzip->peek(1));
    if (buffered.empty()) break;
    const size_t piece = static_cast<size_t>(std::min<uint64_t>(buffered.size(), bytes - unpacked.size()));
    unpacked.insert(unpacked.end(), buffered.begin(), buffered.begin() + static_cast<ptrdiff_t>(piece));
    source.gzip->take(piece);
  }
  return {};
}

// A file without a name, which is gone with its descriptor.
int open_temporary(const std::string& folder) {
  const int file = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file >= 0) return file;
  std::string path = folder + "/vsctl-XXXXXX";  // of file systems that do not know O_TMPFILE
  const int named = ::mkostemp(path.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(path.c_str());
  return named;
}

Status spool(InputStream& stream, Content::Source& source) {
  const char* const given = std::getenv("TMPDIR");
  const std::string folder = given != nullptr && *given != '\0' ? given : "/var/tmp";
  const auto failed = [&folder](const char* what) {
    Status status = errno_status(what);
    return Status{status.code(), status.message() + "; arrays that come through a pipe are first stored in " + folder +
                                     " (TMPDIR names another place)"};
  };
  source.file = open_temporary(folder);
  if (source.file < 0) return failed("cannot make a temporary file");
  for (;;) {
    VS_ASSIGN_OR_RETURN(const std::string_view buffered, stream.peek(1));
    if (buffered.empty()) return {};
    const ssize_t written = ::write(source.file, buffered.data(), buffered.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("cannot write a temporary file");
    stream.take(static_cast<size_t>(written));
    source.file_bytes += static_cast<uint64_t>(written);
  }
}

}  // namespace

Content::Content(std::shared_ptr<Source> source) : source_(std::move(source)) {}

Result<Content> Content::open(const std::string& path) {
  VS_ASSIGN_OR_RETURN(InputStream stream, InputStream::open(path));
  return open(path, std::move(stream));
}

Result<Content> Content::open(const std::string& path, InputStream stream) {
  auto source = std::make_shared<Source>();
  if (!stream.regular()) {
    VS_RETURN_IF_ERROR(spool(stream, *source));
    return Content(std::move(source));
  }
  VS_RETURN_IF_ERROR(stream.peek(1).status());
  if (stream.packed()) {
    source->gzip = std::move(stream);
    return Content(std::move(source));
  }
  source->file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info {};
  if (source->file < 0 || ::fstat(source->file, &info) != 0) return errno_status("cannot open");
  source->file_bytes = static_cast<uint64_t>(info.st_size);
  return Content(std::move(source));
}

Result<std::vector<uint8_t>> Content::head(size_t bytes) {
  std::vector<uint8_t> out;
  if (source_->gzip) {
    VS_RETURN_IF_ERROR(unpack_to(*source_, bytes));
    const auto end = std::min<size_t>(bytes, source_->unpacked.size());
    out.assign(source_->unpacked.begin(), source_->unpacked.begin() + static_cast<ptrdiff_t>(end));
  } else {
    out.resize(static_cast<size_t>(std::min<uint64_t>(bytes, source_->file_bytes)));
    VS_RETURN_IF_ERROR(read_plain(source_->file, 0, out));
  }
  return out;
}

Result<uint64_t> Content::size() {
  if (!source_->gzip) return source_->file_bytes;
  VS_RETURN_IF_ERROR(unpack_to(*source_, UINT64_MAX));
  return source_->unpacked.size();
}

Status Content::expect(uint64_t bytes) {
  uint64_t there = source_->file_bytes;
  if (source_->gzip) {
    // One byte more than expected shows that the stream goes on.
    VS_RETURN_IF_ERROR(unpack_to(*source_, bytes == UINT64_MAX ? bytes : bytes + 1));
    there = source_->unpacked.size();
  }
  const std::string expected = "the header promises " + std::to_string(bytes) + " bytes";
  if (there < bytes)
    return {Code::kBadRequest, expected + ", but only " + std::to_string(there) +
                                   " are there: the file is truncated or its header is wrong"};
  if (there > bytes)
    return {Code::kBadRequest, expected + ", but there are more: the file's header is wrong or something was appended"};
  return {};
}

Status Content::read(uint64_t offset, std::span<uint8_t> out) const {
  if (!source_->gzip) return read_plain(source_->file, offset, out);
  // An empty array may have no memory at all, and memcpy() takes no null pointer.
  if (!out.empty()) std::memcpy(out.data(), source_->unpacked.data() + offset, out.size());
  return {};
}

}  // namespace vs::cli
