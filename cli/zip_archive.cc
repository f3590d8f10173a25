#include "cli/zip_archive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "cli/interrupt.h"

namespace vs::cli {

// libzip's objects are not safe from several threads, so whoever reads holds the mutex.
struct ZipArchive::Handle {
  zip_t* zip = nullptr;
  uint64_t file_bytes = 0;
  std::mutex mutex;

  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (zip != nullptr) zip_discard(zip);
  }
};

namespace {

constexpr size_t kPieceBytes = 1u << 20;
// A match of deflate is 258 bytes and takes two bits at least, so what claims more was made to exhaust the memory.
constexpr uint64_t kDeflateRatioMax = 1032;
// More are no arrays, and each of them costs a look.
constexpr zip_int64_t kMembersMax = 10'000;

Status status_of(zip_error_t* error) {
  const bool system = zip_error_system_type(error) == ZIP_ET_SYS;
  return {system ? Code::kIoError : Code::kBadRequest, "the ZIP archive: " + std::string(zip_error_strerror(error))};
}

uint64_t memory_bytes() {
  return static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

// A stored member is read where it lies; a deflated one is unpacked into memory.
class Member : public Content::Source {
 public:
  Member(std::shared_ptr<ZipArchive::Handle> archive, zip_file_t* file, const zip_stat_t& stat)
      : archive_(std::move(archive)), file_(file), bytes_(stat.size), stored_(stat.comp_method == ZIP_CM_STORE) {}
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;
  ~Member() override {
    const std::lock_guard lock(archive_->mutex);
    zip_fclose(file_);
  }

  Result<std::vector<uint8_t>> head(size_t bytes) override {
    const std::lock_guard lock(archive_->mutex);
    const auto length = static_cast<size_t>(std::min<uint64_t>(bytes, bytes_));
    if (!stored_) {
      VS_RETURN_IF_ERROR(unpack_to(length));
      const auto end = unpacked_.begin() + static_cast<ptrdiff_t>(std::min(length, unpacked_.size()));
      return std::vector<uint8_t>(unpacked_.begin(), end);
    }
    std::vector<uint8_t> out(length);
    VS_RETURN_IF_ERROR(read_exactly(0, out));
    return out;
  }

  Result<uint64_t> size() override { return bytes_; }

  Status expect(uint64_t bytes) override {
    if (Status status = compare_length(bytes, bytes_); !status.ok()) return status;
    const std::lock_guard lock(archive_->mutex);
    if (!stored_) {
      VS_RETURN_IF_ERROR(unpack_to(bytes));
      if (unpacked_.size() < bytes) return compare_length(bytes, unpacked_.size());
      return expect_end();
    }
    // libzip compares the checksum of what is read from the beginning to the end.
    std::vector<uint8_t> piece(static_cast<size_t>(std::min<uint64_t>(kPieceBytes, bytes)));
    for (uint64_t done = 0; done < bytes; done += piece.size()) {
      piece.resize(static_cast<size_t>(std::min<uint64_t>(piece.size(), bytes - done)));
      VS_RETURN_IF_ERROR(done == 0 ? read_exactly(0, piece) : read_on(piece));
    }
    return expect_end();
  }

  Status read(uint64_t offset, std::span<uint8_t> out) const override {
    if (out.empty()) return {};
    if (!stored_) {
      std::memcpy(out.data(), unpacked_.data() + offset, out.size());
      return {};
    }
    const std::lock_guard lock(archive_->mutex);
    return read_exactly(offset, out);
  }

 private:
  Status failed() const { return status_of(zip_file_get_error(file_)); }

  Status read_exactly(uint64_t offset, std::span<uint8_t> out) const {
    if (out.empty()) return {};  // libzip 1.7 crashes when it seeks in an empty member
    if (zip_fseek(file_, static_cast<zip_int64_t>(offset), SEEK_SET) != 0) return failed();
    return read_on(out);
  }

  Status read_on(std::span<uint8_t> out) const {
    while (!out.empty()) {
      const zip_int64_t got = zip_fread(file_, out.data(), out.size());
      if (got < 0) return failed();
      if (got == 0) return {Code::kBadRequest, "the ZIP archive: a member ends too early: the file is truncated"};
      out = out.subspan(static_cast<size_t>(got));
    }
    return {};
  }

  // Here libzip says whether the checksum is right.
  Status expect_end() const {
    uint8_t more = 0;
    const zip_int64_t got = zip_fread(file_, &more, 1);
    if (got < 0) return failed();
    return got == 0 ? Status() : Status{Code::kBadRequest, "the ZIP archive: a member is longer than it claims"};
  }

  // Appends what the stream gives, until `bytes` bytes are there or it ends.
  Status unpack_to(uint64_t bytes) {
    while (unpacked_.size() < bytes) {
      const size_t before = unpacked_.size();
      const auto piece = static_cast<size_t>(std::min<uint64_t>(kPieceBytes, bytes - before));
      unpacked_.resize(before + piece);
      const zip_int64_t got = zip_fread(file_, unpacked_.data() + before, piece);
      unpacked_.resize(before + static_cast<size_t>(std::max<zip_int64_t>(got, 0)));
      if (got < 0) return failed();
      if (got == 0) break;
    }
    return {};
  }

  const std::shared_ptr<ZipArchive::Handle> archive_;
  zip_file_t* const file_;
  const uint64_t bytes_;
  const bool stored_;
  std::vector<uint8_t> unpacked_;  // as far as it was needed
};

// What a member's place in the directory says, before anything of it is read.
Status check_member(const zip_stat_t& stat, uint64_t file_bytes) {
  constexpr zip_uint64_t kNeeded =
      ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
  if ((stat.valid & kNeeded) != kNeeded) return {Code::kBadRequest, "the ZIP archive: its directory is damaged"};
  if (stat.encryption_method != ZIP_EM_NONE) return {Code::kBadRequest, "the ZIP archive is encrypted"};
  const bool stored = stat.comp_method == ZIP_CM_STORE;
  if (!stored && stat.comp_method != ZIP_CM_DEFLATE)
    return {Code::kBadRequest,
            "expected stored or deflated members, as NumPy writes them; got the compression method " +
                std::to_string(stat.comp_method)};
  if (stat.comp_size > file_bytes || stat.size > INT64_MAX || (stored && stat.size != stat.comp_size) ||
      stat.size / kDeflateRatioMax > stat.comp_size)
    return {Code::kBadRequest, "the ZIP archive: a member of " + std::to_string(stat.comp_size) +
                                   " bytes claims to hold " + std::to_string(stat.size) +
                                   ": the file is truncated or damaged"};
  if (!stored && stat.size > memory_bytes())
    return {Code::kTooLarge,
            "unpacked it is " + std::to_string(stat.size) +
                " bytes, more than this machine's memory; unpack the file with unzip, and import the " + "NPY file"};
  return {};
}

}  // namespace

bool looks_like_zip(std::span<const uint8_t> head) {
  // The signature of a member, or of the directory's end, with which an empty archive begins.
  constexpr std::string_view kSignatures[] = {"PK\x03\x04", "PK\x05\x06"};
  return std::any_of(std::begin(kSignatures), std::end(kSignatures), [head](std::string_view signature) {
    return head.size() >= signature.size() && std::memcmp(head.data(), signature.data(), signature.size()) == 0;
  });
}

Result<ZipArchive> ZipArchive::open(const std::string& path) {
  VS_ASSIGN_OR_RETURN(InputStream stream, InputStream::open(path));
  return open(path, std::move(stream));
}

Result<ZipArchive> ZipArchive::open(const std::string& path, InputStream stream) {
  VS_ASSIGN_OR_RETURN(const int file, open_unpacked(path, std::move(stream)));
  auto handle = std::make_shared<Handle>();
  struct stat info {};
  if (::fstat(file, &info) == 0) handle->file_bytes = static_cast<uint64_t>(info.st_size);
  int code = 0;
  handle->zip = zip_fdopen(file, 0, &code);
  if (handle->zip == nullptr) {
    ::close(file);
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    Status status = status_of(&error);
    zip_error_fini(&error);
    return status;
  }
  const zip_int64_t count = zip_get_num_entries(handle->zip, 0);
  if (count > kMembersMax)
    return Status{Code::kBadRequest,
                  "expected a few arrays; the ZIP archive has " + std::to_string(count) + " members"};
  ZipArchive archive(std::move(handle));
  for (zip_int64_t i = 0; i < count; ++i) {
    const char* const name = zip_get_name(archive.handle_->zip, static_cast<zip_uint64_t>(i), 0);
    if (name == nullptr) return status_of(zip_get_error(archive.handle_->zip));
    archive.names_.emplace_back(name);
  }
  return archive;
}

Result<Content> ZipArchive::member(const std::string& name) const {
  const auto place = std::find(names_.begin(), names_.end(), name);
  if (place == names_.end()) return Status{Code::kNotFound, "the ZIP archive has no member of this name"};
  if (std::find(place + 1, names_.end(), name) != names_.end())
    return Status{Code::kBadRequest, "the ZIP archive has two members of this name"};
  const auto index = static_cast<zip_uint64_t>(place - names_.begin());
  const std::lock_guard lock(handle_->mutex);
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_stat_index(handle_->zip, index, 0, &stat) != 0) return status_of(zip_get_error(handle_->zip));
  VS_RETURN_IF_ERROR(check_member(stat, handle_->file_bytes));
  zip_file_t* const file = zip_fopen_index(handle_->zip, index, 0);
  if (file == nullptr) return status_of(zip_get_error(handle_->zip));
  return Content(std::make_shared<Member>(handle_, file, stat));
}

Result<std::string> ZipArchive::text(const std::string& name) const {
  VS_ASSIGN_OR_RETURN(Content content, member(name));
  VS_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes, content.head(SIZE_MAX));
  VS_RETURN_IF_ERROR(content.expect(bytes.size()));
  return std::string(bytes.begin(), bytes.end());
}

Status write_zip(const std::string& path, const std::vector<std::string>& files) {
  const auto failed = [&path](zip_error_t* error) {
    return Status{Code::kIoError, "cannot write " + path + ": " + zip_error_strerror(error)};
  };
  int code = 0;
  zip_t* const zip = zip_open(path.c_str(), ZIP_CREATE | ZIP_EXCL, &code);
  if (zip == nullptr) {
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    Status status = failed(&error);
    zip_error_fini(&error);
    return status;
  }
  for (const std::string& file : files) {
    zip_source_t* const source = zip_source_file(zip, file.c_str(), 0, -1);
    const std::string name = std::filesystem::path(file).filename().string();
    const zip_int64_t index = source == nullptr ? -1 : zip_file_add(zip, name.c_str(), source, ZIP_FL_ENC_UTF_8);
    if (index < 0 || zip_set_file_compression(zip, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0) != 0) {
      Status status = failed(zip_get_error(zip));
      if (index < 0) zip_source_free(source);
      zip_discard(zip);
      return status;
    }
  }
  zip_register_cancel_callback_with_state(
      zip, [](zip_t*, void*) { return Interrupt::requested() ? 1 : 0; }, nullptr, nullptr);
  if (zip_close(zip) != 0) {
    const bool cancelled = zip_error_code_zip(zip_get_error(zip)) == ZIP_ER_CANCELLED;
    Status status = cancelled ? Status{Code::kShuttingDown, "stopped"} : failed(zip_get_error(zip));
    zip_discard(zip);
    return status;
  }
  const int written = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = written >= 0 && ::fsync(written) == 0;
  Status status = synced ? Status() : Status{Code::kIoError, "cannot write " + path + ": " + std::strerror(errno)};
  if (written >= 0) ::close(written);
  return status;
}

}  // namespace vs::cli
