#include "cli/content.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace vs::cli {
namespace {

// A file that lies on a disk as it is, also the temporary one of a pipe.
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

  Result<uint64_t> size() override { return bytes_; }

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
  explicit GzipFile(InputStream stream) : stream_(std::move(stream)) {}

  Result<std::vector<uint8_t>> head(size_t bytes) override {
    VS_RETURN_IF_ERROR(unpack_to(bytes));
    const auto end = unpacked_.begin() + static_cast<ptrdiff_t>(std::min<size_t>(bytes, unpacked_.size()));
    return std::vector<uint8_t>(unpacked_.begin(), end);
  }

  Result<uint64_t> size() override {
    VS_RETURN_IF_ERROR(unpack_to(UINT64_MAX));
    return unpacked_.size();
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
      VS_ASSIGN_OR_RETURN(const std::string_view buffered, stream_.peek(1));
      if (buffered.empty()) break;
      const auto piece = static_cast<size_t>(std::min<uint64_t>(buffered.size(), bytes - unpacked_.size()));
      unpacked_.insert(unpacked_.end(), buffered.begin(), buffered.begin() + static_cast<ptrdiff_t>(piece));
      stream_.take(piece);
    }
    return {};
  }

  InputStream stream_;
  std::vector<uint8_t> unpacked_;  // as far as it was needed
};

// A file without a name, which is gone with its descriptor.
int open_temporary(const std::string& folder) {
  const int file = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file >= 0) return file;
  std::string path = folder + "/vsctl-XXXXXX";  // of file systems that do not know O_TMPFILE
  const int named = ::mkostemp(path.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(path.c_str());
  return named;
}

// Returns the descriptor of a temporary file that holds what the stream gives.
Result<int> spool(InputStream stream) {
  const char* const given = std::getenv("TMPDIR");
  const std::string folder = given != nullptr && *given != '\0' ? given : "/var/tmp";
  const int file = open_temporary(folder);
  const auto failed = [&folder, file](const Status& status, bool of_folder) {
    if (file >= 0) ::close(file);
    if (!of_folder) return status;
    return Status{status.code(), status.message() + "; what cannot be read from the middle is first stored in " +
                                     folder + " (TMPDIR names another place)"};
  };
  if (file < 0) return failed(errno_status("cannot make a temporary file"), true);
  for (;;) {
    const auto buffered = stream.peek(1);
    if (!buffered.ok()) return failed(buffered.status(), false);
    if (buffered->empty()) break;
    const ssize_t written = ::write(file, buffered->data(), buffered->size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed(errno_status("cannot write a temporary file"), true);
    stream.take(static_cast<size_t>(written));
  }
  if (::lseek(file, 0, SEEK_SET) != 0) return failed(errno_status("cannot read a temporary file"), true);
  return file;
}

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

Result<int> open_unpacked(const std::string& path, InputStream stream) {
  VS_RETURN_IF_ERROR(stream.peek(1).status());
  if (!stream.regular() || stream.packed()) return spool(std::move(stream));
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return errno_status("cannot open");
  return file;
}

Result<Content> Content::open(const std::string& path) {
  VS_ASSIGN_OR_RETURN(InputStream stream, InputStream::open(path));
  return open(path, std::move(stream));
}

Result<Content> Content::open(const std::string& path, InputStream stream) {
  VS_RETURN_IF_ERROR(stream.peek(1).status());
  if (stream.regular() && stream.packed()) return Content(std::make_shared<GzipFile>(std::move(stream)));
  VS_ASSIGN_OR_RETURN(const int file, open_unpacked(path, std::move(stream)));
  struct stat info {};
  if (::fstat(file, &info) == 0) return Content(std::make_shared<PlainFile>(file, static_cast<uint64_t>(info.st_size)));
  Status failed = errno_status("cannot open");
  ::close(file);
  return failed;
}

}  // namespace vs::cli
