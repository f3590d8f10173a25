#include "storage/store.h"

#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/table.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <limits>

namespace vs::storage {
namespace {

Status to_status(const rocksdb::Status& status, const std::string& what) {
  if (status.ok()) return {};
  const Code code = status.IsNoSpace()      ? Code::kNoSpace
                    : status.IsCorruption() ? Code::kCorrupt
                    : status.IsNotFound()   ? Code::kNotFound
                                            : Code::kIoError;
  std::string message = "RocksDB, " + what + ": " + status.ToString();
  while (message.ends_with('\n')) message.pop_back();
  // A file that its manifest names is missing: that is damage, not a call that failed.
  const bool missing = status.IsPathNotFound() || message.find("No such file or directory") != std::string::npos;
  if (code != Code::kCorrupt && !(code == Code::kIoError && missing)) return {code, message};
  return {Code::kCorrupt, message + "; a file in rocksdb/ is damaged or missing: restore a backup"};
}

rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view view(const rocksdb::Slice& text) { return {text.data(), text.size()}; }

// Sizes that follow the file system's. What RocksDB holds in memory it has in the log, too, and writes it once more when
// it flushes; on a large disk that is nothing, on one of 100 MB it must not be half of it.
struct Sizes {
  explicit Sizes(uint64_t disk) : buffer(std::clamp<uint64_t>(disk / 64, 512u << 10, 64u << 20)) {}
  uint64_t buffer;                                                         // of one family, in memory
  uint64_t log_total() const { return 4 * buffer; }                        // then RocksDB flushes the oldest
  uint64_t ahead() const { return std::min<uint64_t>(buffer, 4u << 20); }  // blocks of a file taken ahead
  // For a flush that found no room: of two full buffers, at least on a small disk. A large one is not filled that fast.
  uint64_t ballast() const { return std::min<uint64_t>(2 * buffer, 16u << 20); }
};

rocksdb::ColumnFamilyOptions records_options() {
  rocksdb::ColumnFamilyOptions options;
  options.compression = rocksdb::kNoCompression;  // floats do not compress
  // Vectors are written once to a blob file; compaction moves only keys.
  options.enable_blob_files = true;
  options.min_blob_size = 512;
  options.enable_blob_garbage_collection = true;
  return options;
}

rocksdb::ColumnFamilyOptions ids_options() {
  rocksdb::ColumnFamilyOptions options;
  options.compression = rocksdb::kNoCompression;
  rocksdb::BlockBasedTableOptions table;
  // Most ids that an import asks for are new: the filter answers without a read.
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

// What RocksDB has to say goes into this program's log, and no file of its own.
class LogAdapter final : public rocksdb::Logger {
 public:
  LogAdapter() : Logger(rocksdb::InfoLogLevel::WARN_LEVEL) {}
  using Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    Logv(rocksdb::InfoLogLevel::WARN_LEVEL, format, arguments);
  }
  void Logv(const rocksdb::InfoLogLevel level, const char* format, va_list arguments) override {
    if (level < GetInfoLogLevel()) return;
    // Said at every snapshot, as one function that holds files back calls another.
    if (std::strstr(format, "File Deletions") != nullptr) return;
    char text[1024];
    std::vsnprintf(text, sizeof text, format, arguments);
    std::string_view line(text);
    while (line.ends_with('\n')) line.remove_suffix(1);
    spdlog::log(level == rocksdb::InfoLogLevel::WARN_LEVEL ? spdlog::level::warn : spdlog::level::err, "rocksdb: {}",
                line);
  }
};

// Tells a failed write of the log from a failed flush or compaction: after those RocksDB only stops, and can resume.
class ErrorListener final : public rocksdb::EventListener {
 public:
  explicit ErrorListener(std::shared_ptr<std::atomic<bool>> log_broken) : log_broken_(std::move(log_broken)) {}
  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status*) override {
    if (reason == rocksdb::BackgroundErrorReason::kWriteCallback ||
        reason == rocksdb::BackgroundErrorReason::kMemTable) {
      *log_broken_ = true;
    }
  }
  // RocksDB would look for room every few seconds, and answer a Resume() meanwhile that it is busy. Here the next write
  // asks it to go on, which it then tries at once; a compaction is tried again without that, a second later.
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* recover) override {
    *recover = false;
  }

 private:
  std::shared_ptr<std::atomic<bool>> log_broken_;
};

rocksdb::DBOptions db_options(rocksdb::Env* env, const Sizes& sizes) {
  rocksdb::DBOptions options;
  if (env != nullptr) options.env = env;
  options.info_log = std::make_shared<LogAdapter>();
  options.db_host_id.clear();    // tables need not say on which machine they were made
  options.max_open_files = 128;  // of limits::kReservedFileDescriptors
  options.max_background_jobs = 2;
  options.max_total_wal_size = sizes.log_total();
  options.manifest_preallocation_size = sizes.ahead();
  // Flushes and compactions write to the disk as they go on: at their end the log would wait for all of it.
  options.bytes_per_sync = 1u << 20;
  return options;
}

// The numbers of files rise with their age.
struct NewestFiles {
  uint64_t table = 0;
  uint64_t blob = 0;
};

template <class Visit>
void each_table(const rocksdb::ColumnFamilyMetaData& family, const std::string& begin, const std::string& end,
                Visit visit) {
  for (const auto& level : family.levels) {
    for (const auto& table : level.files) {
      if (table.largestkey >= begin && table.smallestkey < end) visit(table);
    }
  }
}

NewestFiles newest_files(const rocksdb::ColumnFamilyMetaData& family, const std::string& begin,
                         const std::string& end) {
  NewestFiles newest;
  each_table(family, begin, end, [&](const auto& table) { newest.table = std::max(newest.table, table.file_number); });
  for (const auto& blob : family.blob_files) newest.blob = std::max(newest.blob, blob.blob_file_number);
  return newest;
}

// Whether a table with keys from `begin` to before `end` is one of those, or refers to a blob file that is.
bool any_left(const rocksdb::ColumnFamilyMetaData& family, const std::string& begin, const std::string& end,
              const NewestFiles& newest) {
  bool left = false;
  each_table(family, begin, end, [&](const auto& table) {
    left = left || table.file_number <= newest.table ||
           (table.oldest_blob_file_number != 0 && table.oldest_blob_file_number <= newest.blob);
  });
  return left;
}

// Mostly the first, and after it the second, does what it should.
constexpr int kCompactionTries = 5;

// The order of Store's handles.
std::vector<rocksdb::ColumnFamilyDescriptor> families(const Sizes& sizes) {
  rocksdb::ColumnFamilyOptions small;
  small.compression = rocksdb::kNoCompression;
  std::vector<rocksdb::ColumnFamilyDescriptor> all = {{rocksdb::kDefaultColumnFamilyName, small},
                                                      {"records", records_options()},
                                                      {"ids", ids_options()},
                                                      {"collections", small},
                                                      {"meta", small}};
  for (auto& family : all) {
    family.options.write_buffer_size = sizes.buffer;
    family.options.disable_auto_compactions = true;  // until start_compactions()
  }
  return all;
}

}  // namespace

Result<bool> Store::exists(const std::string& directory, rocksdb::Env* env) {
  const Sizes sizes(~uint64_t{0});
  const rocksdb::DBOptions options = db_options(env, sizes);
  if (options.env->FileExists(directory + "/CURRENT").IsNotFound()) return false;
  std::vector<std::string> names;
  VS_RETURN_IF_ERROR(
      to_status(rocksdb::DB::ListColumnFamilies(options, directory, &names), "reading the manifest in " + directory));
  for (const auto& family : families(sizes)) {
    if (std::find(names.begin(), names.end(), family.name) == names.end()) return false;
  }
  return true;
}

Result<std::unique_ptr<Store>> Store::open(const std::string& directory, rocksdb::Env* env, Access access,
                                           uint64_t disk_bytes) {
  const Sizes sizes(disk_bytes);
  std::unique_ptr<Store> store(new Store());
  if (access == Access::kReadWrite)
    store->log_space_ = std::make_unique<LogSpace>(env, directory, sizes.ahead(), sizes.ballast());
  rocksdb::DBOptions options = db_options(store->log_space_ ? store->log_space_->env() : env, sizes);
  options.listeners.push_back(std::make_shared<ErrorListener>(store->log_broken_));
  rocksdb::DB* db = nullptr;
  rocksdb::Status opened;
  if (access == Access::kReadOnly) {
    // This mode takes a record that is cut off at the log's end, and nothing worse: so it tells what the default, which
    // ends the log at the first thing that it cannot read, keeps to itself.
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
    opened = rocksdb::DB::OpenForReadOnly(options, directory, families(sizes), &store->handles_, &db);
    if (opened.IsCorruption()) {
      store->log_damage_ = opened.ToString();
      options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
      opened = rocksdb::DB::OpenForReadOnly(options, directory, families(sizes), &store->handles_, &db);
    }
  } else {
    options.create_if_missing = true;
    options.create_missing_column_families = true;
    opened = rocksdb::DB::Open(options, directory, families(sizes), &store->handles_, &db);
  }
  VS_RETURN_IF_ERROR(to_status(opened, "opening " + directory));
  store->db_.reset(db);
  store->records_ = store->handles_[1];
  store->ids_ = store->handles_[2];
  store->collections_ = store->handles_[3];
  store->meta_ = store->handles_[4];
  return store;
}

Status Store::check_log(const std::string& directory, rocksdb::Env* env) const {
  if (log_damage_.empty()) return {};
  const Sizes sizes(~uint64_t{0});
  rocksdb::DBOptions options = db_options(env, sizes);
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
  Store all;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status opened = rocksdb::DB::OpenForReadOnly(options, directory, families(sizes), &all.handles_, &db);
  VS_RETURN_IF_ERROR(to_status(opened, "looking behind damage in the log in " + directory));
  all.db_.reset(db);
  const uint64_t lost = db->GetLatestSequenceNumber() - db_->GetLatestSequenceNumber();
  if (lost == 0) return {};
  return {Code::kCorrupt, "the log in " + directory + " is damaged (" + log_damage_ + "), and " + std::to_string(lost) +
                              " acknowledged changes stand behind the damage. Nothing was changed. Restore a backup"};
}

Store::~Store() {
  if (*log_broken_) {
    // RocksDB (7.8, built with assertions) aborts when it closes a log to which a write failed. The process is about to
    // end; the next start reads what is on the disk.
    static_cast<void>(db_.release());
    static_cast<void>(log_space_.release());
    return;
  }
  for (rocksdb::ColumnFamilyHandle* handle : handles_) {
    // Closing goes on whatever this returns: the handles only have to be gone before the database.
    const rocksdb::Status ignored = db_->DestroyColumnFamilyHandle(handle);
    ignored.PermitUncheckedError();
  }
}

void Store::Batch::put_record(CollectionNumber collection, Lsn lsn, std::string_view value) {
  batch_.Put(store_.records_, record_key(collection, lsn), slice(value));
}
void Store::Batch::delete_record(CollectionNumber collection, Lsn lsn) {
  batch_.Delete(store_.records_, record_key(collection, lsn));
}
void Store::Batch::put_id(CollectionNumber collection, std::string_view id, Lsn lsn) {
  batch_.Put(store_.ids_, id_key(collection, id), encode_lsn(lsn));
}
void Store::Batch::delete_id(CollectionNumber collection, std::string_view id) {
  batch_.Delete(store_.ids_, id_key(collection, id));
}
void Store::Batch::put_info(std::string_view name, const CollectionInfo& info) {
  batch_.Put(store_.collections_, slice(name), encode_info(info));
}
void Store::Batch::delete_collection(std::string_view name, CollectionNumber collection) {
  const std::string begin = collection_key_begin(collection);
  const std::string end = collection_key_end(collection);
  batch_.Delete(store_.collections_, slice(name));
  batch_.DeleteRange(store_.records_, begin, end);
  batch_.DeleteRange(store_.ids_, begin, end);
}
void Store::Batch::put_meta(std::string_view key, std::string_view value) {
  batch_.Put(store_.meta_, slice(key), slice(value));
}
void Store::Batch::delete_meta(std::string_view key) { batch_.Delete(store_.meta_, slice(key)); }

Status Store::make_room(const Batch& batch, LogSpace::Use use) { return log_space_->back(batch.bytes(), use); }

uint64_t Store::next_flush_bytes() const {
  uint64_t sum = log_space_ ? log_space_->step() : 0;
  for (rocksdb::ColumnFamilyHandle* const handle : handles_) {
    uint64_t bytes = 0;
    if (db_->GetIntProperty(handle, rocksdb::DB::Properties::kCurSizeAllMemTables, &bytes)) sum += bytes;
  }
  return sum;
}

Status Store::write(Batch& batch, bool sync) {
  rocksdb::WriteOptions options;
  options.sync = sync;
  Status status = to_status(db_->Write(options, &batch.batch_), "writing");
  return *log_broken_ ? Status{Code::kIoError, status.message()} : status;
}

Status Store::sync() {
  const rocksdb::Status status = db_->SyncWAL();
  if (!status.ok()) *log_broken_ = true;
  return to_status(status, "syncing the log");
}

Status Store::start_compactions() {
  return to_status(db_->EnableAutoCompaction(handles_), "beginning with compactions");
}

Status Store::resume(LogSpace::Use use) {
  rocksdb::Status status = db_->Resume();
  if (!status.ok() && use == LogSpace::Use::kDrop) {
    log_space_->release_ballast();
    status = db_->Resume();
  }
  return to_status(status, "taking writes again");
}

Result<std::optional<Lsn>> Store::find_id(CollectionNumber collection, std::string_view id,
                                          const Snapshot& snapshot) const {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot.get();
  rocksdb::PinnableSlice value;
  const rocksdb::Status status = db_->Get(options, ids_, id_key(collection, id), &value);
  if (status.IsNotFound()) return std::optional<Lsn>();
  VS_RETURN_IF_ERROR(to_status(status, "reading an id"));
  VS_ASSIGN_OR_RETURN(const Lsn lsn, decode_lsn(view(value)));
  return std::optional(lsn);
}

Result<std::string> Store::get_record(CollectionNumber collection, Lsn lsn) const {
  std::string value;
  VS_RETURN_IF_ERROR(to_status(db_->Get({}, records_, record_key(collection, lsn), &value), "reading a record"));
  return value;
}

Store::Snapshot Store::snapshot() const {
  return {db_->GetSnapshot(), [db = db_.get()](const rocksdb::Snapshot* s) { db->ReleaseSnapshot(s); }};
}

std::unique_ptr<rocksdb::Iterator> Store::iterate(rocksdb::ColumnFamilyHandle* family,
                                                  const rocksdb::ReadOptions& options) const {
  return std::unique_ptr<rocksdb::Iterator>(db_->NewIterator(options, family));
}

Status Store::for_each_record(CollectionNumber collection, Lsn after,
                              const std::function<Status(Lsn, std::string_view)>& visit,
                              const Snapshot& snapshot) const {
  const std::string end = collection_key_end(collection);
  const rocksdb::Slice bound(end);
  rocksdb::ReadOptions options;
  options.snapshot = snapshot.get();
  options.iterate_upper_bound = &bound;
  const auto it = iterate(records_, options);
  for (it->Seek(record_key(collection, Lsn{after.value + 1})); it->Valid(); it->Next()) {
    VS_RETURN_IF_ERROR(visit(record_key_lsn(view(it->key())), view(it->value())));
  }
  return to_status(it->status(), "reading the log");
}

Status Store::for_each_id(CollectionNumber collection,
                          const std::function<Status(std::string_view, Lsn)>& visit) const {
  const std::string begin = collection_key_begin(collection);
  const std::string end = collection_key_end(collection);
  const rocksdb::Slice bound(end);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &bound;
  const auto it = iterate(ids_, options);
  for (it->Seek(begin); it->Valid(); it->Next()) {
    VS_ASSIGN_OR_RETURN(const Lsn lsn, decode_lsn(view(it->value())));
    VS_RETURN_IF_ERROR(visit(view(it->key()).substr(begin.size()), lsn));
  }
  return to_status(it->status(), "reading the ids");
}

Result<Lsn> Store::last_lsn(CollectionNumber collection) const {
  const auto it = iterate(records_, {});
  const std::string begin = collection_key_begin(collection);
  it->SeekForPrev(collection_key_end(collection));
  VS_RETURN_IF_ERROR(to_status(it->status(), "reading the end of the log"));
  if (!it->Valid() || !it->key().starts_with(begin)) return Lsn{};
  return record_key_lsn(view(it->key()));
}

Status Store::for_each_collection(const std::function<Status(std::string_view, std::string_view)>& visit) const {
  const auto it = iterate(collections_, {});
  for (it->SeekToFirst(); it->Valid(); it->Next()) VS_RETURN_IF_ERROR(visit(view(it->key()), view(it->value())));
  return to_status(it->status(), "reading the collections");
}

Result<std::optional<std::string>> Store::get_meta(std::string_view key) const {
  std::string value;
  const rocksdb::Status status = db_->Get({}, meta_, slice(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  VS_RETURN_IF_ERROR(to_status(status, "reading meta"));
  return std::optional(std::move(value));
}

Status Store::compact_records(CollectionNumber collection, std::atomic<bool>& cancelled) {
  rocksdb::CompactRangeOptions options;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  options.blob_garbage_collection_policy = rocksdb::BlobGarbageCollectionPolicy::kForce;
  options.blob_garbage_collection_age_cutoff = 1.0;  // of all files: a deleted vector may be in the youngest
  options.canceled = &cancelled;
  VS_RETURN_IF_ERROR(flush());  // of all families: the log, too, holds deleted vectors
  const std::string begin = collection_key_begin(collection);
  const std::string end = collection_key_end(collection);
  const rocksdb::Slice begin_slice(begin);
  const rocksdb::Slice end_slice(end);
  rocksdb::ColumnFamilyMetaData family;
  db_->GetColumnFamilyMetaData(records_, &family);
  const NewestFiles before = newest_files(family, begin, end);
  // A compaction that RocksDB begins by itself, at the flush above for instance, moves tables from a level that this one
  // has yet to look at to one behind it. They would keep their blob files, with the deleted vectors.
  for (int tries = 0; tries < kCompactionTries; ++tries) {
    const rocksdb::Status status = db_->CompactRange(options, records_, &begin_slice, &end_slice);
    if (status.IsIncomplete() && cancelled) return {Code::kShuttingDown, "cancelled"};
    VS_RETURN_IF_ERROR(to_status(status, "compacting the records"));
    db_->GetColumnFamilyMetaData(records_, &family);
    if (!any_left(family, begin, end, before)) return {};
  }
  return {Code::kBusy,
          "the new files serve, but RocksDB compacted by itself all the time, so that deleted vectors may still be "
          "in its files after " +
              std::to_string(kCompactionTries) + " tries; COMPACT again when there are fewer writes"};
}

uint64_t Store::records_bytes() const {
  uint64_t tables = 0;
  uint64_t blobs = 0;
  db_->GetIntProperty(records_, rocksdb::DB::Properties::kLiveSstFilesSize, &tables);
  db_->GetIntProperty(records_, rocksdb::DB::Properties::kLiveBlobFileSize, &blobs);
  return tables + blobs + next_flush_bytes();
}

Status Store::flush() {
  rocksdb::FlushOptions options;
  options.wait = true;
  return to_status(db_->Flush(options, handles_), "flushing");
}

// Not rocksdb::Checkpoint: it would copy the log through LogSpace, which takes any new log for the one that is written to,
// under one call that cannot be cancelled and counts nothing.
Result<Store::LiveFiles> Store::live_files() const {
  VS_RETURN_IF_ERROR(to_status(db_->DisableFileDeletions(), "holding files back"));
  LiveFiles live;
  live.hold = std::shared_ptr<void>(nullptr, [db = db_.get()](void*) {
    // What this leaves undone the next open does.
    db->EnableFileDeletions().PermitUncheckedError();
  });
  rocksdb::LiveFilesStorageInfoOptions options;
  options.wal_size_for_flush = std::numeric_limits<uint64_t>::max();  // flush() is called before, outside of any lock
  std::vector<rocksdb::LiveFileStorageInfo> files;
  VS_RETURN_IF_ERROR(to_status(db_->GetLiveFilesStorageInfo(options, &files), "listing its files"));
  for (rocksdb::LiveFileStorageInfo& file : files) {
    live.files.push_back({.name = file.relative_filename,
                          .bytes = file.size,
                          .immutable = file.file_type == rocksdb::kTableFile || file.file_type == rocksdb::kBlobFile,
                          .contents = std::move(file.replacement_contents)});
  }
  return live;
}

}  // namespace vs::storage
