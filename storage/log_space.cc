#include "storage/log_space.h"

#include <rocksdb/file_system.h>

#include <atomic>
#include <mutex>

namespace vs::storage {
namespace {

// What a drop of a collection, a checkpoint or the end of a run find in the log when the disk is full.
constexpr uint64_t kMargin = 128u << 10;

// Every 32 KiB of log, and every record, begin with a header of a few bytes (log_format.h of RocksDB).
uint64_t log_bytes_of(uint64_t batch) { return batch + batch / 1024 + 1024; }

uint64_t round_up(uint64_t bytes, uint64_t step) { return (bytes + step - 1) / step * step; }

// A log, and how far its blocks reach.
class Log final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  Log(std::unique_ptr<rocksdb::FSWritableFile> file, uint64_t backed)
      : FSWritableFileOwnerWrapper(std::move(file)), backed_(backed) {}

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    size_ += data.size();
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo& info, rocksdb::IODebugContext* debug) override {
    size_ += data.size();
    return FSWritableFileOwnerWrapper::Append(data, options, info, debug);
  }
  // RocksDB's own way to preallocate.
  void PrepareWrite(size_t, size_t, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {}

  bool has(uint64_t bytes) const { return size_ + bytes <= backed_; }
  rocksdb::IOStatus back(uint64_t bytes, uint64_t step) {
    if (has(bytes)) return rocksdb::IOStatus::OK();
    const uint64_t wanted = round_up(size_ + bytes, step);
    const rocksdb::IOStatus status = Allocate(backed_, wanted - backed_, {}, nullptr);
    if (!status.IsNoSpace()) backed_ = wanted;  // where it cannot be done there is nothing to wait for
    return status;
  }

 private:
  std::atomic<uint64_t> size_{0};
  uint64_t backed_;
};

}  // namespace

class LogSpace::Files final : public rocksdb::FileSystemWrapper {
 public:
  Files(const std::shared_ptr<rocksdb::FileSystem>& base, const std::string& directory, uint64_t step, uint64_t ballast)
      : FileSystemWrapper(base),
        spare_(directory + "/spare"),
        ballast_(directory + "/ballast"),
        step_(step),
        ballast_wanted_(ballast) {
    target()->DeleteFile(spare_, {}, nullptr).PermitUncheckedError();
    release_ballast();
  }
  const char* Name() const override { return "LogSpace"; }

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override {
    if (!path.ends_with(".log")) return target()->NewWritableFile(path, options, result, debug);
    const std::lock_guard<std::mutex> lock(mutex_);
    rocksdb::IOStatus status;
    uint64_t backed = std::exchange(spare_bytes_, 0);
    if (backed != 0) {
      status = target()->RenameFile(spare_, path, {}, debug);
      if (status.ok()) status = target()->ReopenWritableFile(path, options, result, debug);
    }
    if (backed == 0 || !status.ok()) {
      backed = 0;
      status = target()->NewWritableFile(path, options, result, debug);
    }
    if (!status.ok()) return status;
    auto log = std::make_unique<Log>(std::move(*result), backed);
    log_ = log.get();
    *result = std::move(log);
    return status;
  }

  void release_ballast() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ballast_bytes_ = 0;
    target()->DeleteFile(ballast_, {}, nullptr).PermitUncheckedError();
  }

  // The current log is written to until the next one is there, so it is not gone before.
  rocksdb::IOStatus back(uint64_t bytes, Use use) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const uint64_t needed = log_bytes_of(bytes);
    rocksdb::IOStatus status = log_ == nullptr ? rocksdb::IOStatus::OK() : log_->back(needed + kMargin, step_);
    if (status.ok()) status = keep(spare_, spare_bytes_, round_up(needed + kMargin, step_));
    if (status.ok()) status = keep(ballast_, ballast_bytes_, ballast_wanted_);
    if (use != Use::kOrdinary && status.IsNoSpace() && log_->has(needed)) return rocksdb::IOStatus::OK();
    return status;
  }

 private:
  // An empty file with that many blocks; it has `bytes` of them.
  rocksdb::IOStatus keep(const std::string& path, uint64_t& bytes, uint64_t wanted) {
    if (bytes >= wanted) return rocksdb::IOStatus::OK();
    bytes = 0;
    std::unique_ptr<rocksdb::FSWritableFile> file;
    rocksdb::IOStatus status = target()->NewWritableFile(path, {}, &file, nullptr);
    if (!status.ok()) return status;
    status = file->Allocate(0, wanted, {}, nullptr);
    file->Close({}, nullptr).PermitUncheckedError();
    if (!status.IsNoSpace()) bytes = wanted;
    return status;
  }

  const std::string spare_;
  const std::string ballast_;
  const uint64_t step_;
  const uint64_t ballast_wanted_;
  std::mutex mutex_;
  Log* log_ = nullptr;  // the one that is written to
  uint64_t spare_bytes_ = 0;
  uint64_t ballast_bytes_ = 0;
};

LogSpace::LogSpace(rocksdb::Env* base, const std::string& directory, uint64_t step, uint64_t ballast)
    : step_(step),
      files_(std::make_shared<Files>((base != nullptr ? base : rocksdb::Env::Default())->GetFileSystem(), directory,
                                     step, ballast)),
      env_(rocksdb::NewCompositeEnv(files_)) {}
LogSpace::~LogSpace() = default;

void LogSpace::release_ballast() { files_->release_ballast(); }

Status LogSpace::back(uint64_t bytes, Use use) {
  const rocksdb::IOStatus status = files_->back(bytes, use);
  if (!status.IsNoSpace()) return {};
  return {Code::kNoSpace, "no room for the log of RocksDB: " + status.ToString()};
}

}  // namespace vs::storage
