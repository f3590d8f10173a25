#include "cli/content.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace vs::cli {

struct Content::Source {
  int file = -1;
  uint64_t file_bytes = 0;
  gzFile gzip = nullptr;          // null for a plain file
  std::vector<uint8_t> unpacked;  // of a gzip file, as far as it was needed

  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  ~Source() {
    if (gzip != nullptr) gzclose(gzip);
    if (file >= 0) ::close(file);
  }
};

namespace {

constexpr size_t kPieceBytes = 1u << 20;

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
    const size_t before = unpacked.size();
    const size_t piece = static_cast<size_t>(std::min<uint64_t>(kPieceBytes, bytes - before));
    unpacked.resize(before + piece);
    const int got = gzread(source.gzip, unpacked.data() + before, static_cast<unsigned>(piece));
    unpacked.resize(before + static_cast<size_t>(std::max(got, 0)));
    if (got < static_cast<int>(piece)) {
      int error = Z_OK;
      const char* text = gzerror(source.gzip, &error);
      if (error == Z_ERRNO) return errno_status("cannot read");
      if (error == Z_BUF_ERROR) return {Code::kBadRequest, "the gzip data end too early: the file is truncated"};
      if (error != Z_OK && error != Z_STREAM_END)
        return {Code::kBadRequest, "the gzip data are damaged (" + std::string(text) + ")"};
      break;
    }
  }
  return {};
}

}  // namespace

Content::Content(std::shared_ptr<Source> source) : source_(std::move(source)) {}

Result<Content> Content::open(const std::string& path) {
  auto source = std::make_shared<Source>();
  source->file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (source->file < 0) return errno_status("cannot open");
  struct stat info {};
  if (::fstat(source->file, &info) != 0) return errno_status("cannot open");
  if (!S_ISREG(info.st_mode)) return Status{Code::kIoError, "expected a regular file"};
  source->file_bytes = static_cast<uint64_t>(info.st_size);

  uint8_t magic[2] = {};
  if (source->file_bytes >= sizeof magic) VS_RETURN_IF_ERROR(read_plain(source->file, 0, magic));
  if (magic[0] == 0x1f && magic[1] == 0x8b) {
    source->gzip = gzopen(path.c_str(), "rb");
    if (source->gzip == nullptr) return errno_status("cannot open");
    gzbuffer(source->gzip, 256u << 10);
  }
  return Content(std::move(source));
}

Result<std::vector<uint8_t>> Content::head(size_t bytes) {
  std::vector<uint8_t> out;
  if (source_->gzip != nullptr) {
    VS_RETURN_IF_ERROR(unpack_to(*source_, bytes));
    const auto end = std::min<size_t>(bytes, source_->unpacked.size());
    out.assign(source_->unpacked.begin(), source_->unpacked.begin() + static_cast<ptrdiff_t>(end));
  } else {
    out.resize(static_cast<size_t>(std::min<uint64_t>(bytes, source_->file_bytes)));
    VS_RETURN_IF_ERROR(read_plain(source_->file, 0, out));
  }
  return out;
}

Status Content::expect(uint64_t bytes) {
  uint64_t there = source_->file_bytes;
  if (source_->gzip != nullptr) {
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
  if (source_->gzip == nullptr) return read_plain(source_->file, offset, out);
  // An empty array may have no memory at all, and memcpy() takes no null pointer.
  if (!out.empty()) std::memcpy(out.data(), source_->unpacked.data() + offset, out.size());
  return {};
}

}  // namespace vs::cli
