#include "storage/file_system.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "storage/mapped_regions.h"

namespace vs::storage {
namespace {

namespace ipc = boost::interprocess;

Status error(int number, const std::string& call, const std::string& path) {
  const Code code = number == ENOSPC || number == EDQUOT ? Code::kNoSpace
                    : number == ENOENT                   ? Code::kNotFound
                    : number == EEXIST                   ? Code::kExists
                                                         : Code::kIoError;
  return {code, call + " " + path + ": " + std::generic_category().message(number)};
}

class PosixRegion final : public MappedRegion {
 public:
  PosixRegion(ipc::mapped_region region, std::string path)
      : region_(std::move(region)), path_(std::move(path)), entry_(region_.get_address(), region_.get_size(), path_) {}
  std::byte* data() const override { return static_cast<std::byte*>(region_.get_address()); }
  Status sync(uint64_t bytes) override {
    if (region_.flush(0, bytes, false)) return {};
    return error(errno, "msync", path_);
  }
  Status lock(uint64_t offset, uint64_t bytes) override {
    if (::mlock(data() + offset, bytes) == 0) return {};
    const int number = errno;
    const Status status = error(number, "mlock", path_);
    if (number != ENOMEM && number != EPERM && number != EAGAIN) return status;
    return {Code::kLimit, status.message() + "; raise LimitMEMLOCK of the service, or `ulimit -l` (RLIMIT_MEMLOCK)"};
  }

 private:
  ipc::mapped_region region_;
  std::string path_;
  MappedRegionEntry entry_;  // the last member, so that it goes before the mapping does
};

class PosixFile final : public File {
 public:
  PosixFile(int descriptor, std::string path, Access access)
      : descriptor_(descriptor), path_(std::move(path)), access_(access) {}
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;
  ~PosixFile() override { ::close(descriptor_); }

  Result<uint64_t> size() const override {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) return error(errno, "fstat", path_);
    return static_cast<uint64_t>(status.st_size);
  }

  Status read(uint64_t offset, std::span<std::byte> out) const override {
    while (!out.empty()) {
      const ssize_t n = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return error(errno, "read", path_);
      if (n == 0) return {Code::kCorrupt, path_ + " ends at byte " + std::to_string(offset) + ", more was expected"};
      out = out.subspan(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
    return {};
  }

  Status write(uint64_t offset, std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return error(errno, "write", path_);
      bytes = bytes.subspan(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
    return {};
  }

  Status allocate(uint64_t wanted) override {
    VS_ASSIGN_OR_RETURN(const uint64_t before, size());
    if (wanted <= before) return {};
    int number = 0;
    do {
      number = ::posix_fallocate(descriptor_, static_cast<off_t>(before), static_cast<off_t>(wanted - before));
    } while (number == EINTR);
    if (number == 0) return {};
    // A failed fallocate may leave the file grown part of the way (seen on ext4).
    const Status back = truncate(before);
    return back.ok() ? error(number, "fallocate", path_) : back;
  }

  Status truncate(uint64_t wanted) override {
    if (::ftruncate(descriptor_, static_cast<off_t>(wanted)) != 0) return error(errno, "ftruncate", path_);
    return {};
  }

  Status sync() override {
    if (::fsync(descriptor_) != 0) return error(errno, "fsync", path_);
    return {};
  }

  Result<std::unique_ptr<MappedRegion>> map(uint64_t reserve) override {
    try {
      const ipc::mode_t mode = access_ == Access::kReadOnly ? ipc::read_only : ipc::read_write;
      ipc::mapped_region region(ipc::file_mapping(path_.c_str(), mode), mode, 0, reserve);
      return std::unique_ptr<MappedRegion>(std::make_unique<PosixRegion>(std::move(region), path_));
    } catch (const ipc::interprocess_exception& e) {
      return Status{e.get_native_error() == ENOMEM ? Code::kLimit : Code::kIoError,
                    "mmap of " + std::to_string(reserve >> 20) + " MiB for " + path_ + ": " +
                        std::generic_category().message(static_cast<int>(e.get_native_error())) +
                        "; too many collections are open, or `ulimit -v` is set"};
    }
  }

 private:
  int descriptor_;
  std::string path_;
  Access access_;
};

class PosixLock final : public DirectoryLock {
 public:
  PosixLock() = default;
  PosixLock(const PosixLock&) = delete;
  PosixLock& operator=(const PosixLock&) = delete;
  ~PosixLock() override {
    for (const int descriptor : {file, directory}) {
      if (descriptor >= 0) ::close(descriptor);
    }
  }

  int directory = -1;
  int file = -1;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> create(const std::string& path) override {
    return open_with(path, O_RDWR | O_CREAT | O_EXCL, Access::kReadWrite);
  }
  Result<std::unique_ptr<File>> open(const std::string& path, Access access) override {
    return open_with(path, access == Access::kReadOnly ? O_RDONLY : O_RDWR, access);
  }

  Status create_directories(const std::string& path) override {
    std::string prefix;
    for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
      prefix = path.substr(0, end);
      if (::mkdir(prefix.c_str(), 0700) != 0 && errno != EEXIST) return error(errno, "mkdir", prefix);
      if (end == std::string::npos) break;
    }
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return error(errno, "stat", path);
    if (!S_ISDIR(status.st_mode)) return error(ENOTDIR, "mkdir", path);
    return {};
  }

  Status sync_directory(const std::string& path) override {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return error(errno, "open", path);
    const int result = ::fsync(descriptor);
    const int number = errno;
    ::close(descriptor);
    return result == 0 ? Status{} : error(number, "fsync", path);
  }

  Status remove_all(const std::string& path) override {
    std::error_code code;
    std::filesystem::remove_all(path, code);
    return code ? error(code.value(), "remove", path) : Status{};
  }

  Status link(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) == 0) return {};
    const int number = errno;
    const Status status = error(number, "link", to);
    const bool cannot = number == EXDEV || number == EPERM || number == EMLINK || number == EOPNOTSUPP;
    return cannot ? Status{Code::kLimit, status.message()} : status;
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    return error(errno == ENOTEMPTY ? EEXIST : errno, "rename", to);
  }

  Result<std::vector<std::string>> list(const std::string& directory) override {
    std::error_code code;
    std::vector<std::string> names;
    for (std::filesystem::directory_iterator it(directory, code), end; !code && it != end; it.increment(code)) {
      names.push_back(it->path().filename().string());
    }
    if (code) return error(code.value(), "list", directory);
    return names;
  }

  Result<uint64_t> free_bytes(const std::string& path) override {
    struct statvfs status {};
    if (::statvfs(path.c_str(), &status) != 0) return error(errno, "statvfs", path);
    return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
  }

  Result<uint64_t> total_bytes(const std::string& path) override {
    struct statvfs status {};
    if (::statvfs(path.c_str(), &status) != 0) return error(errno, "statvfs", path);
    return static_cast<uint64_t>(status.f_blocks) * status.f_frsize;
  }

  // The file is what an administrator sees. But a lock file may be taken for a stale one and removed, and then another
  // vsd would make and lock a new one: so the directory is locked, too, and first.
  Result<std::unique_ptr<DirectoryLock>> lock(const std::string& path, Access access) override {
    const bool shared = access == Access::kReadOnly;
    const std::string parent = std::filesystem::path(path).parent_path().string();
    auto held = std::make_unique<PosixLock>();
    VS_RETURN_IF_ERROR(
        open_and_lock(held->directory, parent.empty() ? "." : parent, O_RDONLY | O_DIRECTORY, shared, path));
    const Status file = open_and_lock(held->file, path, shared ? O_RDONLY : O_RDWR | O_CREAT, shared, path);
    if (!file.ok() && !(shared && file.code() == Code::kNotFound)) return file;
    return std::unique_ptr<DirectoryLock>(std::move(held));
  }

 private:
  static Status open_and_lock(int& descriptor, const std::string& path, int flags, bool shared,
                              const std::string& lock_path) {
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
    if (descriptor < 0) {
      const int number = errno;
      const Status status = error(number, "open", path);
      if (number != EACCES && number != EPERM && number != EROFS) return status;
      return {status.code(), status.message() + "; vsd, run by user " + std::to_string(::geteuid()) + ", has to " +
                                 (shared ? "read" : "read and write") + " the data directory and all that is in it"};
    }
    if (::flock(descriptor, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0) return {};
    if (errno != EWOULDBLOCK) return error(errno, "flock", path);
    return {Code::kBusy, "another vsd uses this data directory (it holds " + lock_path +
                             "); stop it, or give this one a directory of its own with --data-dir"};
  }

  static Result<std::unique_ptr<File>> open_with(const std::string& path, int flags, Access access) {
    const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
    if (descriptor < 0) return error(errno, "open", path);
    return std::unique_ptr<File>(std::make_unique<PosixFile>(descriptor, path, access));
  }
};

}  // namespace

FileSystem& posix_file_system() {
  static PosixFileSystem instance;
  return instance;
}

}  // namespace vs::storage
