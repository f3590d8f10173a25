#include "storage/checksum.h"

#include <xxhash.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace vs::storage {
namespace {

constexpr size_t kChunkBytes = 1u << 20;

std::string to_hex(const XXH128_hash_t& hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  std::string text;
  for (const unsigned char byte : canonical.digest) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

// Reads the first `bytes` of the file and calls `visit` for each part of them.
Result<std::string> read_all(const File& file, uint64_t bytes, Progress& progress,
                             const std::function<Status(uint64_t, std::span<const std::byte>)>& visit) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), &XXH3_freeState);
  VS_CHECK(state != nullptr && XXH3_128bits_reset(state.get()) == XXH_OK);
  std::vector<std::byte> buffer(static_cast<size_t>(std::min<uint64_t>(bytes, kChunkBytes)));
  for (uint64_t offset = 0; offset < bytes;) {
    if (progress.cancelled.load(std::memory_order_relaxed)) return Status{Code::kShuttingDown, "cancelled"};
    const auto part = std::span(buffer).first(static_cast<size_t>(std::min<uint64_t>(bytes - offset, buffer.size())));
    VS_RETURN_IF_ERROR(file.read(offset, part));
    VS_RETURN_IF_ERROR(visit(offset, part));
    VS_CHECK(XXH3_128bits_update(state.get(), part.data(), part.size()) == XXH_OK);
    offset += part.size();
    progress.done += part.size();
  }
  return to_hex(XXH3_128bits_digest(state.get()));
}

}  // namespace

std::string checksum_of(std::string_view text) { return to_hex(XXH3_128bits(text.data(), text.size())); }

Result<std::string> checksum_file(FileSystem& file_system, const std::string& path, uint64_t bytes,
                                  Progress& progress) {
  VS_ASSIGN_OR_RETURN(const auto file, file_system.open(path, Access::kReadOnly));
  return read_all(*file, bytes, progress, [](uint64_t, std::span<const std::byte>) { return Status{}; });
}

Result<std::string> copy_file(FileSystem& file_system, const std::string& from, const std::string& to, uint64_t bytes,
                              Progress& progress) {
  VS_ASSIGN_OR_RETURN(const auto source, file_system.open(from, Access::kReadOnly));
  VS_ASSIGN_OR_RETURN(const auto copy, file_system.create(to));
  VS_ASSIGN_OR_RETURN(const std::string checksum,
                      read_all(*source, bytes, progress, [&](uint64_t offset, std::span<const std::byte> part) {
                        return copy->write(offset, part);
                      }));
  VS_RETURN_IF_ERROR(copy->sync());
  return checksum;
}

Status write_file(FileSystem& file_system, const std::string& path, std::string_view text) {
  VS_ASSIGN_OR_RETURN(const auto file, file_system.create(path));
  VS_RETURN_IF_ERROR(file->write(0, std::as_bytes(std::span(text.data(), text.size()))));
  return file->sync();
}

}  // namespace vs::storage
