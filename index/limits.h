// Every bound of the system has its name here; docs/protocol.md lists them for users.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vs::limits {

inline constexpr size_t kClients = 1024;
inline constexpr size_t kReservedFileDescriptors = 256;
inline constexpr size_t kLineBytes = 4u << 20;
inline constexpr size_t kUnsentBytes = 8u << 20;
inline constexpr size_t kRequestsInFlight = 1024;
// Lines of requests in flight, together; with kRequestsInFlight it bounds what one client's pipeline holds.
inline constexpr size_t kRequestBytesInFlight = 8u << 20;
inline constexpr size_t kReplyBytes = 64u << 20;
inline constexpr size_t kOptions = 32;
// Jobs that wait for their turn, and those that have ended and can still be asked for.
inline constexpr size_t kJobsWaiting = 64;
inline constexpr size_t kJobsKept = 100;

inline constexpr uint32_t kKMax = 10'000;
inline constexpr uint32_t kEfMax = 10'000;
inline constexpr uint32_t kMMin = 2;
inline constexpr uint32_t kMMax = 256;
inline constexpr uint32_t kEfConstructionMax = 10'000;
inline constexpr uint32_t kDimMax = 65'535;
inline constexpr double kMlMax = 4.0;
// Layers are numbered 0..kLayerMax. With ml = 1/ln(m) one slot in m^15 would lie higher, so the cut changes nothing; a
// larger ml only fills the top layer.
inline constexpr int kLayerMax = 15;

inline constexpr size_t kIdBytes = 512;
inline constexpr size_t kAttributesBytes = 64u << 10;
inline constexpr size_t kAttributesDepth = 64;
inline constexpr size_t kCollectionNameBytes = 64;
// Each reserves up to 250 GiB of the 128 TiB of address space that a process has.
inline constexpr size_t kCollections = 512;
inline constexpr uint32_t kScanLimitMax = 10'000;

inline constexpr uint32_t kMDefault = 16;
inline constexpr uint32_t kEfConstructionDefault = 200;
inline constexpr uint32_t kEfSearchDefault = 64;
// New collections have one-byte codes from here on: below, a code does not fill its cache line.
inline constexpr uint32_t kCodesFromDim = 64;
inline constexpr uint32_t kKDefault = 10;
inline constexpr uint32_t kScanLimitDefault = 100;

}  // namespace vs::limits
