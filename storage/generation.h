// One generation of a collection: its mapped files and the graph over them.
//
// Everything in here is derived from RocksDB and can be rebuilt from it. Slots are handed out in the order of LSNs, so
// the slot of an LSN is found by binary search in the rows, and a replay of the log gives the same slots, the same
// levels and the same places in the files.
//
// append() and reserve() are called by one thread at a time (the commit thread, or recovery); everything else by any.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "index/graph.h"
#include "index/vacuum.h"
#include "storage/config.h"
#include "storage/mapped_file.h"
#include "storage/replacements.h"

namespace vs::storage {

// A row of rows.dat. All but `flags` is written once, before the slot exists for readers.
//
// Searches answer with ids and liveness from here, without asking RocksDB, and preflight.cc takes rows as evidence that
// the log lost something. So both must be told from flipped bits: what is written once has a checksum, and a flag is a
// byte that is all zeros or all ones.
struct Row {
  static constexpr uint16_t kDead = 0x00ff;      // deleted or replaced
  static constexpr uint16_t kUnlinked = 0xff00;  // was dead before it was linked: no part of the graph
  uint64_t lsn;
  uint64_t id_offset;  // in ids.dat
  uint16_t id_bytes;
  uint16_t flags;
  uint32_t check;  // of all but the flags, and of the id
};
static_assert(sizeof(Row) == 24);

class Generation {
 public:
  struct Identity {
    std::string directory;  // of this generation's files
    Uuid uuid{};
    uint64_t number = 0;
  };

  // Makes the directory and the files, and brings them to the disk.
  static Result<std::unique_ptr<Generation>> create(FileSystem& file_system, const Identity& identity,
                                                    const CollectionConfig& config);
  // Opens files that hold `slots` slots; unless read-only, cuts off whatever lies behind them. `codes` says what is known of
  // the slots' codes. Reads rows, no vectors and no links. The graph's slots exist, with none of them live and no entry
  // point: see recovery.cc.
  // Errors: kCorrupt (missing, too short, another's), kIoError.
  static Result<std::unique_ptr<Generation>> open(FileSystem& file_system, const Identity& identity,
                                                  const CollectionConfig& config, uint32_t slots,
                                                  const std::optional<CodeState>& codes, Access access);
  // After open(): the graph takes the slots as linked, and those as live whose rows are not dead.
  void adopt_rows();

  Graph& graph() { return *graph_; }
  const Graph& graph() const { return *graph_; }
  const Replacements& replacements() const { return replacements_; }
  // REQUIRES: one thread takes the steps.
  Vacuum& vacuum() { return *vacuum_; }
  const Identity& identity() const { return identity_; }
  const CollectionConfig& config() const { return config_; }

  // Backs `slots` more slots with `id_bytes` more bytes of ids. Errors: kNoSpace, kLimit, kIoError; nothing has changed
  // then that matters.
  Status reserve(uint32_t slots, uint64_t id_bytes, MappedFile::Space space);
  // REQUIRES: reserve() covered it; lsn is larger than all before; `vector` has dim floats, unit length for cosine.
  Slot append(Lsn lsn, std::string_view id, std::span<const float> vector);

  // Puts one durable operation into the graph: links and publishes `slot` (none for a delete) and retracts the slot of
  // `previous` (0: none).
  void apply(std::optional<Slot> slot, Lsn previous);
  // What `previous` wrote is deleted or replaced.
  void kill(Lsn previous);

  // The slot of that LSN; nullopt if there is none.
  std::optional<Slot> find(Lsn lsn) const;
  // The first slot whose LSN is greater; slot_count() if there is none.
  Slot first_after(Lsn lsn) const;
  Lsn lsn(Slot slot) const { return Lsn{row(slot).lsn}; }
  std::string_view id(Slot slot) const;
  std::span<const float> vector(Slot slot) const { return {graph_->vector(slot), config_.dim}; }
  // What is wrong with the row or the id's place; nullopt if nothing is. REQUIRES: the rows before are good.
  std::optional<std::string> row_problem(Slot slot) const;
  bool has_flag(Slot slot, uint16_t flag) const;
  void set_flag(Slot slot, uint16_t flag);
  void clear_flag(Slot slot, uint16_t flag);

  // Rows behind the slots that exist, as an earlier run left them, with their ids. Leaves out those that are not whole:
  // bits flipped, or a crash of the system took a part. REQUIRES: opened read-only.
  void for_each_row_behind(const std::function<void(const Row&, std::string_view id)>& visit) const;
  // Writes the vector again, as append() would. Searches that read it meanwhile see a part of both.
  void rewrite_vector(Slot slot, std::span<const float> vector);

  // Reads headers and sizes of the files again. Errors: kCorrupt, kIoError.
  Status verify_files() const;
  // Brings everything to the disk. Errors: kIoError.
  Status sync();
  // Locks in memory what all searches go by and is not locked yet: the links of layer 0, and codes. Reads them from the disk.
  // REQUIRES: one thread calls it. Errors: kLimit (more than the process may lock), kIoError.
  Status lock_hot_files();
  uint64_t locked_bytes() const { return locked_links0_ + locked_codes_; }
  std::vector<std::pair<std::string, uint64_t>> file_bytes() const;

 private:
  struct Files {
    MappedFile rows;
    MappedFile ids;
    MappedFile vectors;
    MappedFile links0;
    MappedFile upper;
    std::optional<MappedFile> codes;
  };
  Generation(Identity identity, const CollectionConfig& config, Files files, uint32_t slots_max);

  // `make(path, identity of the file, address space)` for each of them.
  using MakeFile = std::function<Result<MappedFile>(const std::string&, const FileIdentity&, uint64_t)>;
  static Result<Files> with_files(const Identity& identity, const CollectionConfig& config, const MakeFile& make);
  void kill(Slot slot, Slot successor = kNoSlot);
  Status check_sizes(uint32_t slots, uint64_t upper_rows) const;
  Status check_rows(uint32_t slots) const;
  std::vector<std::pair<const char*, MappedFile*>> files();

  Row* rows() const { return reinterpret_cast<Row*>(files_.rows.data()); }
  const Row& row(Slot slot) const { return rows()[slot.value]; }
  std::string_view id_of(const Row& r) const;
  uint64_t id_bytes_of(uint32_t slots) const;

  const Identity identity_;
  const CollectionConfig config_;
  mutable std::mutex growth_mutex_;  // guards the files' capacities
  Files files_;
  const uint32_t slots_max_;
  std::unique_ptr<Graph> graph_;
  std::unique_ptr<Vacuum> vacuum_;
  Replacements replacements_;
  // Of appended slots; like the files' capacities, the writer's.
  uint64_t id_bytes_ = 0;
  // From the beginning of the elements.
  std::atomic<uint64_t> locked_links0_{0};
  std::atomic<uint64_t> locked_codes_{0};
};

}  // namespace vs::storage
