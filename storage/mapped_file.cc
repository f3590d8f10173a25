#include "storage/mapped_file.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

namespace vs::storage {
namespace {

constexpr char kMagic[8] = {'V', 'S', 'D', 'M', 'A', 'P', '1', '\0'};

struct Header {
  char magic[8];
  uint32_t kind;
  uint32_t element_bytes;
  uint8_t uuid[16];
  uint64_t generation;
  uint8_t zero[16];
  uint64_t checksum;
};
static_assert(sizeof(Header) == 64);

Header make_header(const FileIdentity& identity) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.kind = static_cast<uint32_t>(identity.kind);
  header.element_bytes = identity.element_bytes;
  std::memcpy(header.uuid, identity.uuid.data(), identity.uuid.size());
  header.generation = identity.generation;
  header.checksum = XXH3_64bits(&header, offsetof(Header, checksum));
  return header;
}

Status check_header(const Header& found, const FileIdentity& identity, const std::string& path) {
  const Header expected = make_header(identity);
  if (std::memcmp(found.magic, kMagic, sizeof kMagic) != 0) {
    return {Code::kCorrupt, path + ": this is no mapped file of vsd, or of another version"};
  }
  if (found.checksum != XXH3_64bits(&found, offsetof(Header, checksum))) {
    return {Code::kCorrupt, path + ": the header's checksum does not match"};
  }
  if (std::memcmp(&found, &expected, sizeof expected) != 0) {
    return {Code::kCorrupt, path + ": the header names another collection, generation or element size"};
  }
  return {};
}

Status read_header(const File& file, const FileIdentity& identity, const std::string& path) {
  Header header{};
  VS_RETURN_IF_ERROR(file.read(0, std::as_writable_bytes(std::span(&header, 1))));
  return check_header(header, identity, path);
}

}  // namespace

MappedFile::MappedFile(FileSystem& file_system, std::string path, std::unique_ptr<File> file,
                       std::unique_ptr<MappedRegion> region, uint64_t capacity, uint64_t reserve)
    : file_system_(&file_system),
      path_(std::move(path)),
      file_(std::move(file)),
      region_(std::move(region)),
      capacity_(capacity),
      reserve_(reserve) {}

Result<MappedFile> MappedFile::create(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                      uint64_t reserve) {
  VS_ASSIGN_OR_RETURN(auto file, file_system.create(path));
  VS_RETURN_IF_ERROR(file->allocate(kHeaderBytes));
  const Header header = make_header(identity);
  VS_RETURN_IF_ERROR(file->write(0, std::as_bytes(std::span(&header, 1))));
  VS_RETURN_IF_ERROR(file->sync());
  VS_ASSIGN_OR_RETURN(auto region, file->map(kHeaderBytes + reserve));
  return MappedFile(file_system, path, std::move(file), std::move(region), 0, reserve);
}

Result<MappedFile> MappedFile::open(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                    uint64_t reserve, Access access) {
  VS_ASSIGN_OR_RETURN(auto file, file_system.open(path, access));
  VS_ASSIGN_OR_RETURN(const uint64_t size, file->size());
  if (size < kHeaderBytes) {
    return Status{Code::kCorrupt, path + ": " + std::to_string(size) + " bytes are less than the header's " +
                                      std::to_string(kHeaderBytes)};
  }
  if (size - kHeaderBytes > reserve) {
    return Status{Code::kCorrupt, path + ": " + std::to_string(size) + " bytes are more than the " +
                                      std::to_string(kHeaderBytes + reserve) + " that it can have"};
  }
  VS_RETURN_IF_ERROR(read_header(*file, identity, path));
  VS_ASSIGN_OR_RETURN(auto region, file->map(kHeaderBytes + reserve));
  return MappedFile(file_system, path, std::move(file), std::move(region), size - kHeaderBytes, reserve);
}

Status MappedFile::ensure(uint64_t bytes, Space space) {
  if (bytes <= capacity_) return {};
  if (bytes > reserve_) {
    return {Code::kLimit, path_ + " would need " + std::to_string(bytes) + " bytes, " + std::to_string(reserve_) +
                              " are the most of one file; spread the points over several collections"};
  }
  constexpr uint64_t kStep = 64u << 10;
  const auto stepped = [&](uint64_t size) { return std::min((size + kStep - 1) / kStep * kStep, reserve_); };
  uint64_t wanted = stepped(std::max(bytes, capacity_ + capacity_ / 8));
  VS_ASSIGN_OR_RETURN(const uint64_t free, file_system_->free_bytes(space.directory));
  // Near the end of the disk only what is needed, so that it is used to the last.
  if (free < space.reserve || free - space.reserve < wanted - capacity_) wanted = stepped(bytes);
  if (free < space.reserve || free - space.reserve < wanted - capacity_) {
    return {Code::kNoSpace, "growing " + path_ + " by " + std::to_string(wanted - capacity_) +
                                " bytes would leave less than " + std::to_string(space.reserve) + " of " +
                                std::to_string(free) + " free; make room on the disk, nothing was changed"};
  }
  // Growing would fill what was cut off with zeros, and nobody would notice.
  VS_RETURN_IF_ERROR(check_not_cut(capacity_));
  if (const Status grown = file_->allocate(kHeaderBytes + wanted); !grown.ok()) {
    // Another program was faster.
    if (grown.code() != Code::kNoSpace) return grown;
    return {Code::kNoSpace, grown.message() + "; make room on the disk, nothing was changed"};
  }
  capacity_ = wanted;
  return {};
}

Status MappedFile::shrink(uint64_t bytes) {
  if (bytes >= capacity_) return {};
  VS_RETURN_IF_ERROR(file_->truncate(kHeaderBytes + bytes));
  capacity_ = bytes;
  return {};
}

Status MappedFile::verify(const FileIdentity& identity) const {
  VS_ASSIGN_OR_RETURN(const uint64_t size, file_->size());
  if (size < kHeaderBytes + capacity_) {
    return {Code::kCorrupt, path_ + ": " + std::to_string(size) + " bytes, " +
                                std::to_string(kHeaderBytes + capacity_) + " were expected"};
  }
  return read_header(*file_, identity, path_);
}

Status MappedFile::sync(uint64_t bytes) {
  VS_RETURN_IF_ERROR(region_->sync(kHeaderBytes + bytes));
  VS_RETURN_IF_ERROR(file_->sync());  // the size, which msync does not write
  // msync passes over pages that the file no longer has.
  return check_not_cut(bytes);
}

Status MappedFile::check_not_cut(uint64_t bytes) const {
  VS_ASSIGN_OR_RETURN(const uint64_t size, file_->size());
  if (size >= kHeaderBytes + bytes) return {};
  return {Code::kCorrupt, path_ + " has " + std::to_string(size) + " bytes, " + std::to_string(kHeaderBytes + bytes) +
                              " were expected: another program cut it while vsd used it; start vsd again to rebuild "
                              "the collection"};
}

}  // namespace vs::storage
