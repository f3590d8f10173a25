#include "cli/content.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace vs::cli {
namespace {

constexpr size_t kPieceBytes = 1u << 20;

Status errno_status(const char* what) { return {Code::kIoError, std::string(what) + ": " + std::strerror(errno)}; }

class PlainFile : public Content::Source {
 public:
  PlainFile(int file, uint64_t bytes) : file_(file), bytes_(bytes) {}
  PlainFile(const PlainFile&) = delete;
  PlainFile& operator=(const PlainFile&) = delete;
  ~PlainFile() override { ::close(file_); }

  Result<std::vector<uint8_t>> head(size_t bytes) override {
    std::vector<uint8_t> out(static_cast<size_t>(std::min<uint64_t>(bytes, bytes_)));
    VS_RETURN_IF_ERROR(read(0, out));
    return out;
  }

  Status expect(uint64_t bytes) override { return compare_length(bytes, bytes_); }

  Status read(uint64_t offset, std::span<uint8_t> out) const override {
    while (!out.empty()) {
      const ssize_t got = ::pread(file_, out.data(), out.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return errno_status("cannot read");
      if (got == 0) return {Code::kIoError, "the file became shorter while it was read"};
      out = out.subspan(static_cast<size_t>(got));
      offset += static_cast<uint64_t>(got);
    }
    return {};
  }

 private:
  const int file_;
  const uint64_t bytes_;
};

class GzipFile : public Content::Source {
 public:
  explicit GzipFile(gzFile file) : file_(file) { gzbuffer(file_, 256u << 10); }
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;
  ~GzipFile() override { gzclose(file_); }

  Result<std::vector<uint8_t>> head(size_t bytes) override {
    VS_RETURN_IF_ERROR(unpack_to(bytes));
    const auto end = unpacked_.begin() + static_cast<ptrdiff_t>(std::min<size_t>(bytes, unpacked_.size()));
    return std::vector<uint8_t>(unpacked_.begin(), end);
  }

  Status expect(uint64_t bytes) override {
    // One byte more than expected shows that the stream goes on.
    VS_RETURN_IF_ERROR(unpack_to(bytes == UINT64_MAX ? bytes : bytes + 1));
    return compare_length(bytes, unpacked_.size());
  }

  Status read(uint64_t offset, std::span<uint8_t> out) const override {
    // An empty array may have no memory at all, and memcpy() takes no null pointer.
    if (!out.empty()) std::memcpy(out.data(), unpacked_.data() + offset, out.size());
    return {};
  }

 private:
  // Appends what the stream gives, until `bytes` bytes are there or the stream ends.
  Status unpack_to(uint64_t bytes) {
    while (unpacked_.size() < bytes) {
      const size_t before = unpacked_.size();
      const size_t piece = static_cast<size_t>(std::min<uint64_t>(kPieceBytes, bytes - before));
      unpacked_.resize(before + piece);
      const int got = gzread(file_, unpacked_.data() + before, static_cast<unsigned>(piece));
      unpacked_.resize(before + static_cast<size_t>(std::max(got, 0)));
      if (got < static_cast<int>(piece)) {
        int error = Z_OK;
        const char* text = gzerror(file_, &error);
        if (error == Z_ERRNO) return errno_status("cannot read");
        if (error == Z_BUF_ERROR) return {Code::kBadRequest, "the gzip data end too early: the file is truncated"};
        if (error != Z_OK && error != Z_STREAM_END)
          return {Code::kBadRequest, "the gzip data are damaged (" + std::string(text) + ")"};
        break;
      }
    }
    return {};
  }

  const gzFile file_;
  std::vector<uint8_t> unpacked_;  // as far as it was needed
};

}  // namespace

Status compare_length(uint64_t promised, uint64_t there) {
  const std::string expected = "the header promises " + std::to_string(promised) + " bytes";
  if (there < promised)
    return {Code::kBadRequest, expected + ", but only " + std::to_string(there) +
                                   " are there: the file is truncated or its header is wrong"};
  if (there > promised)
    return {Code::kBadRequest, expected + ", but there are more: the file's header is wrong or something was appended"};
  return {};
}

Result<Content> Content::open(const std::string& path) {
  // Without O_NONBLOCK it would wait for somebody to write into what is a pipe.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return errno_status("cannot open");
  struct stat info {};
  if (::fstat(file, &info) != 0) {
    Status failed = errno_status("cannot open");
    ::close(file);
    return failed;
  }
  auto plain = std::make_shared<PlainFile>(file, static_cast<uint64_t>(info.st_size));
  if (!S_ISREG(info.st_mode)) return Status{Code::kIoError, "expected a regular file"};

  VS_ASSIGN_OR_RETURN(const std::vector<uint8_t> magic, plain->head(2));
  if (magic != std::vector<uint8_t>{0x1f, 0x8b}) return Content(std::move(plain));
  const gzFile gzip = gzopen(path.c_str(), "rb");
  if (gzip == nullptr) return errno_status("cannot open");
  return Content(std::make_shared<GzipFile>(gzip));
}

}  // namespace vs::cli
