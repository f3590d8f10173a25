#include "tests/crash/simulated_disk.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "tests/crash/disk_state.h"

namespace vs::crash {
namespace {

using storage::Access;
using storage::File;
using storage::MappedRegion;
using Disk = SimulatedDisk::Impl;
using Lock = std::lock_guard<std::recursive_mutex>;

Status failure(int number, Call call, const std::string& path) {
  return {number == ENOSPC ? Code::kNoSpace : Code::kIoError,
          std::string(call_name(call)) + " " + path + ": " + std::generic_category().message(number) + " (injected)"};
}

#define VS_ENTER(disk, call, path) \
  const Lock lock((disk).mutex()); \
  if (const int number = (disk).enter(call, path)) return failure(number, call, path)

class Region final : public MappedRegion {
 public:
  Region(Disk& disk, std::string path, std::unique_ptr<MappedRegion> real)
      : disk_(disk), path_(std::move(path)), real_(std::move(real)) {}
  std::byte* data() const override { return real_->data(); }
  Status sync(uint64_t bytes) override {
    VS_ENTER(disk_, Call::kMsync, path_);
    disk_.synced(path_, bytes);
    return {};
  }
  Status lock(uint64_t offset, uint64_t bytes) override { return real_->lock(offset, bytes); }

 private:
  Disk& disk_;
  const std::string path_;
  std::unique_ptr<MappedRegion> real_;
};

class DiskFile final : public File {
 public:
  DiskFile(Disk& disk, std::string path, std::unique_ptr<File> real)
      : disk_(disk), path_(std::move(path)), real_(std::move(real)) {}
  Result<uint64_t> size() const override { return real_->size(); }
  Status read(uint64_t offset, std::span<std::byte> out) const override {
    VS_ENTER(disk_, Call::kRead, path_);
    return real_->read(offset, out);
  }
  Status write(uint64_t offset, std::span<const std::byte> bytes) override {
    VS_ENTER(disk_, Call::kWrite, path_);
    return real_->write(offset, bytes);
  }
  Status allocate(uint64_t size) override {
    VS_ENTER(disk_, Call::kAllocate, path_);
    return real_->allocate(size);
  }
  Status truncate(uint64_t size) override {
    VS_ENTER(disk_, Call::kTruncate, path_);
    return real_->truncate(size);
  }
  Status sync() override {
    VS_ENTER(disk_, Call::kFsync, path_);
    disk_.synced(path_, std::string::npos);
    return {};
  }
  Result<std::unique_ptr<MappedRegion>> map(uint64_t reserve) override {
    VS_ENTER(disk_, Call::kMap, path_);
    VS_ASSIGN_OR_RETURN(auto region, real_->map(reserve));
    return std::unique_ptr<MappedRegion>(std::make_unique<Region>(disk_, path_, std::move(region)));
  }

 private:
  Disk& disk_;
  const std::string path_;
  std::unique_ptr<File> real_;
};

class Files final : public storage::FileSystem {
 public:
  explicit Files(Disk& disk) : disk_(disk), real_(storage::posix_file_system()) {}

  Result<std::unique_ptr<File>> create(const std::string& path) override {
    VS_ENTER(disk_, Call::kOpen, path);
    VS_ASSIGN_OR_RETURN(auto file, real_.create(path));
    disk_.linked(path);
    return std::unique_ptr<File>(std::make_unique<DiskFile>(disk_, path, std::move(file)));
  }
  Result<std::unique_ptr<File>> open(const std::string& path, Access access) override {
    VS_ENTER(disk_, Call::kOpen, path);
    VS_ASSIGN_OR_RETURN(auto file, real_.open(path, access));
    return std::unique_ptr<File>(std::make_unique<DiskFile>(disk_, path, std::move(file)));
  }
  Status create_directories(const std::string& path) override {
    VS_ENTER(disk_, Call::kMkdir, path);
    VS_RETURN_IF_ERROR(real_.create_directories(path));
    for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
      disk_.made_directory(path.substr(0, end));
      if (end == std::string::npos) return {};
    }
  }
  Status sync_directory(const std::string& path) override {
    VS_ENTER(disk_, Call::kFsync, path);
    disk_.synced_directory(path);
    return {};
  }
  Status remove_all(const std::string& path) override {
    VS_ENTER(disk_, Call::kRemove, path);
    VS_RETURN_IF_ERROR(real_.remove_all(path));
    disk_.removed(path);
    return {};
  }
  Status link(const std::string& from, const std::string& to) override {
    VS_ENTER(disk_, Call::kLink, to);
    VS_RETURN_IF_ERROR(real_.link(from, to));
    disk_.shared(from, to);
    return {};
  }
  Status rename(const std::string& from, const std::string& to) override {
    VS_ENTER(disk_, Call::kRename, from);
    VS_RETURN_IF_ERROR(real_.rename(from, to));
    disk_.renamed(from, to);
    return {};
  }
  Result<std::vector<std::string>> list(const std::string& directory) override { return real_.list(directory); }
  Result<uint64_t> free_bytes(const std::string& path) override {
    VS_ENTER(disk_, Call::kFreeSpace, path);
    return real_.free_bytes(path);
  }
  Result<uint64_t> total_bytes(const std::string& path) override { return real_.total_bytes(path); }
  Result<std::unique_ptr<storage::DirectoryLock>> lock(const std::string& path, Access access) override {
    return real_.lock(path, access);
  }

 private:
  Disk& disk_;
  storage::FileSystem& real_;
};

#undef VS_ENTER

rocksdb::IOStatus io_failure(int number, Call call, const std::string& path) {
  const std::string text = failure(number, call, path).message();
  return number == ENOSPC ? rocksdb::IOStatus::NoSpace(text) : rocksdb::IOStatus::IOError(text);
}

#define VS_ENTER(disk, call, path) \
  const Lock lock((disk).mutex()); \
  if (const int number = (disk).enter(call, path)) return io_failure(number, call, path)

class StoreFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  StoreFile(Disk& disk, std::string path, std::unique_ptr<rocksdb::FSWritableFile> real)
      : FSWritableFileOwnerWrapper(std::move(real)), disk_(disk), path_(std::move(path)) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    VS_ENTER(disk_, Call::kWrite, path_);
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo& info, rocksdb::IODebugContext* debug) override {
    VS_ENTER(disk_, Call::kWrite, path_);
    return FSWritableFileOwnerWrapper::Append(data, options, info, debug);
  }
  rocksdb::IOStatus Truncate(uint64_t size, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
    VS_ENTER(disk_, Call::kTruncate, path_);
    return FSWritableFileOwnerWrapper::Truncate(size, options, debug);
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    VS_ENTER(disk_, Call::kFsync, path_);
    disk_.synced(path_, std::string::npos);
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    return Sync(options, debug);
  }
  // Reserves blocks without changing the size; in a memory file system that would write 70 MB of zeros for each log.
  void PrepareWrite(size_t, size_t, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {}
  // Starts writing back; promises nothing.
  rocksdb::IOStatus RangeSync(uint64_t, uint64_t, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }

 private:
  Disk& disk_;
  const std::string path_;
};

class StoreDirectory final : public rocksdb::FSDirectoryWrapper {
 public:
  StoreDirectory(Disk& disk, std::string path, std::unique_ptr<rocksdb::FSDirectory> real)
      : FSDirectoryWrapper(std::move(real)), disk_(disk), path_(std::move(path)) {}
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    VS_ENTER(disk_, Call::kFsync, path_);
    disk_.synced_directory(path_);
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus FsyncWithDirOptions(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug,
                                        const rocksdb::DirFsyncOptions&) override {
    return Fsync(options, debug);
  }

 private:
  Disk& disk_;
  const std::string path_;
};

class StoreFiles final : public rocksdb::FileSystemWrapper {
 public:
  explicit StoreFiles(Disk& disk) : FileSystemWrapper(rocksdb::FileSystem::Default()), disk_(disk) {}
  const char* Name() const override { return "SimulatedDisk"; }

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override {
    VS_ENTER(disk_, Call::kOpen, path);
    const rocksdb::IOStatus status = target()->NewWritableFile(path, options, result, debug);
    if (!status.ok()) return status;
    disk_.linked(path);
    *result = std::make_unique<StoreFile>(disk_, path, std::move(*result));
    return status;
  }
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* result,
                                       rocksdb::IODebugContext* debug) override {
    VS_ENTER(disk_, Call::kOpen, path);
    const rocksdb::IOStatus status = target()->ReopenWritableFile(path, options, result, debug);
    if (status.ok()) *result = std::make_unique<StoreFile>(disk_, path, std::move(*result));
    return status;
  }
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext* debug) override {
    VS_ENTER(disk_, Call::kOpen, path);
    const rocksdb::IOStatus status = target()->NewDirectory(path, options, result, debug);
    if (status.ok()) *result = std::make_unique<StoreDirectory>(disk_, path, std::move(*result));
    return status;
  }
  rocksdb::IOStatus CreateDir(const std::string& path, const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* debug) override {
    VS_ENTER(disk_, Call::kMkdir, path);
    const rocksdb::IOStatus status = target()->CreateDir(path, options, debug);
    if (status.ok()) disk_.made_directory(path);
    return status;
  }
  rocksdb::IOStatus CreateDirIfMissing(const std::string& path, const rocksdb::IOOptions& options,
                                       rocksdb::IODebugContext* debug) override {
    VS_ENTER(disk_, Call::kMkdir, path);
    const rocksdb::IOStatus status = target()->CreateDirIfMissing(path, options, debug);
    if (status.ok()) disk_.made_directory(path);
    return status;
  }
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    VS_ENTER(disk_, Call::kRename, from);
    const rocksdb::IOStatus status = target()->RenameFile(from, to, options, debug);
    if (status.ok()) disk_.renamed(from, to);
    return status;
  }
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    VS_ENTER(disk_, Call::kRemove, path);
    const rocksdb::IOStatus status = target()->DeleteFile(path, options, debug);
    if (status.ok()) disk_.removed(path);
    return status;
  }
  rocksdb::IOStatus GetFreeSpace(const std::string& path, const rocksdb::IOOptions& options, uint64_t* bytes,
                                 rocksdb::IODebugContext* debug) override {
    VS_ENTER(disk_, Call::kFreeSpace, path);
    return target()->GetFreeSpace(path, options, bytes, debug);
  }

 private:
  Disk& disk_;
};

#undef VS_ENTER

}  // namespace

// The wrappers, with the disk they report to.
class Wrappers {
 public:
  explicit Wrappers(Disk& disk) : files_(disk), env_(rocksdb::NewCompositeEnv(std::make_shared<StoreFiles>(disk))) {}
  Files files_;
  std::unique_ptr<rocksdb::Env> env_;
};

SimulatedDisk::SimulatedDisk(const std::string& root)
    : impl_(std::make_unique<Impl>(*this, root)), wrappers_(std::make_unique<Wrappers>(*impl_)) {
  // All databases of a process share RocksDB's threads. on_sync may run on one of them and open another database, whose
  // work must find a free one.
  for (const auto priority : {rocksdb::Env::LOW, rocksdb::Env::HIGH}) env()->SetBackgroundThreads(8, priority);
}
SimulatedDisk::~SimulatedDisk() = default;
storage::FileSystem& SimulatedDisk::files() { return wrappers_->files_; }
rocksdb::Env* SimulatedDisk::env() { return wrappers_->env_.get(); }
Snapshot SimulatedDisk::snapshot() {
  const Lock lock(impl_->mutex());
  return impl_->snapshot();
}

}  // namespace vs::crash
