#include "storage/mapped_regions.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

namespace vs::storage {
namespace {

constexpr size_t kWords = kMappedPathBytes / sizeof(uint64_t);

// Apart from the paths, so that the search for a free entry or for an address reads little memory.
struct Entry {
  std::atomic<uint64_t> version;
  std::atomic<uintptr_t> begin;  // 0: free
  std::atomic<uintptr_t> end;
  std::atomic<size_t> path_bytes;
};
struct Path {
  std::array<std::atomic<uint64_t>, kWords> words;
};
static_assert(std::atomic<uint64_t>::is_always_lock_free && std::atomic<uintptr_t>::is_always_lock_free &&
              std::atomic<size_t>::is_always_lock_free);

// Zero before the first constructor runs, and never destroyed. Pages of paths that were not needed take no memory.
constinit std::array<Entry, kMappedRegionsMax> entries{};
constinit std::array<Path, kMappedRegionsMax> paths{};

// Makes the version of a free entry odd.
bool claim(Entry& entry) {
  uint64_t version = entry.version.load(std::memory_order_acquire);
  return version % 2 == 0 && entry.begin.load(std::memory_order_relaxed) == 0 &&
         entry.version.compare_exchange_strong(version, version + 1, std::memory_order_acquire);
}

// False when the entry has another address, or is not at rest.
bool read(size_t index, uintptr_t address, MappedPlace& place) {
  const Entry& entry = entries[index];
  const uint64_t version = entry.version.load(std::memory_order_acquire);
  if (version % 2 != 0) return false;
  // Written with release and read with acquire: whoever reads a word of a later writer also sees its version.
  const uintptr_t begin = entry.begin.load(std::memory_order_acquire);
  const uintptr_t end = entry.end.load(std::memory_order_acquire);
  if (begin == 0 || address < begin || address >= end) return false;
  const size_t bytes = std::min(entry.path_bytes.load(std::memory_order_acquire), kMappedPathBytes);
  for (size_t done = 0; done < bytes; done += sizeof(uint64_t)) {
    const uint64_t word = paths[index].words[done / sizeof word].load(std::memory_order_acquire);
    std::memcpy(place.path + done, &word, sizeof word);
  }
  place.path[bytes] = '\0';
  place.offset = address - begin;
  return entry.version.load(std::memory_order_relaxed) == version;
}

}  // namespace

MappedRegionEntry::MappedRegionEntry(const void* begin, size_t bytes, std::string_view path) : index_(0) {
  while (index_ < entries.size() && !claim(entries[index_])) ++index_;
  if (index_ == entries.size()) return;
  if (path.size() > kMappedPathBytes) path.remove_prefix(path.size() - kMappedPathBytes);
  for (size_t done = 0; done < path.size(); done += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, path.data() + done, std::min(path.size() - done, sizeof word));
    paths[index_].words[done / sizeof word].store(word, std::memory_order_release);
  }
  Entry& entry = entries[index_];
  const auto address = reinterpret_cast<uintptr_t>(begin);
  entry.path_bytes.store(path.size(), std::memory_order_release);
  entry.end.store(address + bytes, std::memory_order_release);
  entry.begin.store(address, std::memory_order_release);
  entry.version.fetch_add(1, std::memory_order_release);
}

MappedRegionEntry::~MappedRegionEntry() {
  if (index_ == entries.size()) return;
  Entry& entry = entries[index_];
  entry.version.fetch_add(1, std::memory_order_relaxed);
  entry.begin.store(0, std::memory_order_release);
  entry.version.fetch_add(1, std::memory_order_release);
}

bool find_mapped_place(const void* address, MappedPlace& place) noexcept {
  for (size_t index = 0; index < entries.size(); ++index) {
    if (read(index, reinterpret_cast<uintptr_t>(address), place)) return true;
  }
  return false;
}

}  // namespace vs::storage
