// Which file is mapped where: a table that the handler of SIGBUS reads (daemon/bus_error.h), to say which file it was.
//
// The handler may interrupt any thread anywhere, also one that holds the allocator's lock or is in here. So the table has
// a fixed size and is made of lock-free atomics; reading it takes no lock, allocates nothing and waits for nobody.
//
// Regions come and go while a handler reads. The region that it looks for does not: the thread that touched it is the one
// that the handler runs on, and what it touched it keeps alive (a shared_ptr<Generation>). All the others may be freed,
// and their entries taken by new ones, at any time, so a begin of one region could be read with the end or the path of
// another. Each entry therefore has a version, odd while it is written: what was read counts only if the version was
// even before and is the same after. An entry that is being written is not waited for (its writer may be the very thread
// that was interrupted), but passed over: it cannot be the one that is looked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vs::storage {

// 512 collections of five files, and room for generations that are replaced or dropped, but still read.
inline constexpr size_t kMappedRegionsMax = 4096;
// Of a longer path the end is kept, which names the file.
inline constexpr size_t kMappedPathBytes = 1024;

// A mapped region is in the table as long as this lives. When the table is full it is not in it: all that is lost is
// its name in a message.
class MappedRegionEntry {
 public:
  MappedRegionEntry(const void* begin, size_t bytes, std::string_view path);
  MappedRegionEntry(const MappedRegionEntry&) = delete;
  MappedRegionEntry& operator=(const MappedRegionEntry&) = delete;
  ~MappedRegionEntry();

 private:
  size_t index_;
};

struct MappedPlace {
  char path[kMappedPathBytes + 1];
  uint64_t offset;
};

// Async-signal-safe. False if no region in the table has this address.
bool find_mapped_place(const void* address, MappedPlace& place) noexcept;

}  // namespace vs::storage
