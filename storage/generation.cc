#include "storage/generation.h"

#include <algorithm>
#include <cstring>

namespace vs::storage {
namespace {

// Address space of a generation's vectors. A collection cannot outgrow it; a process has 128 TiB for all collections.
// Sanitizers keep a shadow of all of it, and have less.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kVectorsReserve = uint64_t{2} << 30;
#else
constexpr uint64_t kVectorsReserve = uint64_t{128} << 30;
#endif
// Each point may take at most this much of ids.dat on average.
constexpr uint64_t kIdBytesAverageMax = limits::kIdBytes;

Geometry geometry_of(const CollectionConfig& config) {
  return {.dim = config.dim, .m = config.m, .ml = config.ml, .seed = config.seed.value_or(0)};
}

uint32_t slots_max_of(const Geometry& geometry) {
  return static_cast<uint32_t>(std::min<uint64_t>(kVectorsReserve / geometry.vector_stride(), Geometry::kSlotsMax));
}

struct FileLayout {
  const char* name;
  FileKind kind;
  uint64_t element_bytes;
  uint64_t reserve;
};

std::array<FileLayout, 5> layouts(const Geometry& geometry) {
  const uint64_t slots = slots_max_of(geometry);
  return {{{"rows.dat", FileKind::kRows, sizeof(Row), slots * sizeof(Row)},
           {"ids.dat", FileKind::kIds, 1, std::min(slots * kIdBytesAverageMax, kVectorsReserve)},
           {"vectors.dat", FileKind::kVectors, geometry.vector_stride(), slots * geometry.vector_stride()},
           {"links0.dat", FileKind::kLinks0, geometry.links0_stride(), slots * geometry.links0_stride()},
           // Fewer rows than slots, unless ml was chosen larger than 1.
           {"upper.dat", FileKind::kUpper, geometry.upper_row_stride(), slots * geometry.upper_row_stride()}}};
}

}  // namespace

Result<Generation::Files> Generation::with_files(FileSystem& file_system, const Identity& identity,
                                                 const CollectionConfig& config, bool create) {
  const auto layout = layouts(geometry_of(config));
  const auto get = [&](const FileLayout& file) {
    const std::string path = identity.directory + "/" + file.name;
    const FileIdentity id{file.kind, static_cast<uint32_t>(file.element_bytes), identity.uuid, identity.number};
    return create ? MappedFile::create(file_system, path, id, file.reserve)
                  : MappedFile::open(file_system, path, id, file.reserve);
  };
  VS_ASSIGN_OR_RETURN(auto rows, get(layout[0]));
  VS_ASSIGN_OR_RETURN(auto ids, get(layout[1]));
  VS_ASSIGN_OR_RETURN(auto vectors, get(layout[2]));
  VS_ASSIGN_OR_RETURN(auto links0, get(layout[3]));
  VS_ASSIGN_OR_RETURN(auto upper, get(layout[4]));
  return Files{std::move(rows), std::move(ids), std::move(vectors), std::move(links0), std::move(upper)};
}

Generation::Generation(Identity identity, const CollectionConfig& config, Files files, uint32_t slots_max)
    : identity_(std::move(identity)), dim_(config.dim), files_(std::move(files)), slots_max_(slots_max) {
  const GraphConfig graph_config{geometry_of(config), config.metric, config.ef_construction};
  const GraphMemory memory{files_.vectors.data(), reinterpret_cast<uint32_t*>(files_.links0.data()),
                           reinterpret_cast<uint32_t*>(files_.upper.data())};
  graph_ = std::make_unique<Graph>(graph_config, memory, slots_max);
}

Result<std::unique_ptr<Generation>> Generation::create(FileSystem& file_system, const Identity& identity,
                                                       const CollectionConfig& config) {
  // What an interrupted attempt left behind is in nobody's use: RocksDB does not name this generation yet.
  VS_RETURN_IF_ERROR(file_system.remove_all(identity.directory));
  VS_RETURN_IF_ERROR(file_system.create_directories(identity.directory));
  VS_ASSIGN_OR_RETURN(auto files, with_files(file_system, identity, config, true));
  // The names of the files, of their directory and of the collection's directory.
  std::string directory = identity.directory;
  for (int level = 0; level < 3; ++level) {
    VS_RETURN_IF_ERROR(file_system.sync_directory(directory));
    directory.resize(directory.rfind('/'));
  }
  return std::unique_ptr<Generation>(
      new Generation(identity, config, std::move(files), slots_max_of(geometry_of(config))));
}

Result<std::unique_ptr<Generation>> Generation::open(FileSystem& file_system, const Identity& identity,
                                                     const CollectionConfig& config, uint32_t slots, Lsn* lsn_beyond) {
  auto opened = with_files(file_system, identity, config, false);
  if (!opened.ok()) {
    const Status& status = opened.status();
    return status.code() == Code::kNotFound ? Status{Code::kCorrupt, status.message()} : status;
  }
  const Geometry geometry = geometry_of(config);
  const uint32_t slots_max = slots_max_of(geometry);
  std::unique_ptr<Generation> generation(new Generation(identity, config, *std::move(opened), slots_max));
  Files& files = generation->files_;
  if (slots > slots_max) {
    return Status{Code::kCorrupt, identity.directory + ": more slots are recorded than fit in a generation"};
  }
  uint64_t upper_rows = 0;
  for (Slot slot{0}; slot.value < slots; ++slot.value) upper_rows += static_cast<uint64_t>(geometry.level(slot));
  const auto check = [&](const MappedFile& file, uint64_t bytes, const char* name) {
    if (file.capacity() >= bytes) return Status{};
    return Status{Code::kCorrupt, identity.directory + "/" + name + ": " + std::to_string(file.capacity()) +
                                      " bytes of elements, " + std::to_string(bytes) + " were expected"};
  };
  VS_RETURN_IF_ERROR(check(files.rows, slots * sizeof(Row), "rows.dat"));
  VS_RETURN_IF_ERROR(check(files.vectors, slots * geometry.vector_stride(), "vectors.dat"));
  VS_RETURN_IF_ERROR(check(files.links0, slots * geometry.links0_stride(), "links0.dat"));
  VS_RETURN_IF_ERROR(check(files.upper, upper_rows * geometry.upper_row_stride(), "upper.dat"));
  VS_RETURN_IF_ERROR(generation->check_rows(slots, lsn_beyond));
  const uint64_t id_bytes = generation->id_bytes_of(slots);
  VS_RETURN_IF_ERROR(check(files.ids, id_bytes, "ids.dat"));

  // What lies behind the slots belongs to operations that are replayed or never were; growing again gives zeros.
  VS_RETURN_IF_ERROR(files.rows.shrink(slots * sizeof(Row)));
  VS_RETURN_IF_ERROR(files.ids.shrink(id_bytes));
  VS_RETURN_IF_ERROR(files.vectors.shrink(slots * geometry.vector_stride()));
  VS_RETURN_IF_ERROR(files.links0.shrink(slots * geometry.links0_stride()));
  VS_RETURN_IF_ERROR(files.upper.shrink(upper_rows * geometry.upper_row_stride()));
  generation->id_bytes_ = id_bytes;
  generation->graph_->extend(slots);
  return generation;
}

// Rows must rise in LSN and follow each other in ids.dat without gaps, as append() wrote them.
Status Generation::check_rows(uint32_t slots, Lsn* lsn_beyond) const {
  uint64_t last_lsn = 0;
  uint64_t id_end = 0;
  for (uint32_t i = 0; i < slots; ++i) {
    const Row& r = rows()[i];
    if (r.lsn <= last_lsn || r.id_offset != id_end || r.id_bytes == 0 || r.id_bytes > limits::kIdBytes) {
      return {Code::kCorrupt, identity_.directory + "/rows.dat: row " + std::to_string(i) + " is damaged"};
    }
    last_lsn = r.lsn;
    id_end += r.id_bytes;
  }
  *lsn_beyond = {};
  const uint64_t backed = files_.rows.capacity() / sizeof(Row);
  for (uint64_t i = slots; i < backed; ++i) lsn_beyond->value = std::max(lsn_beyond->value, rows()[i].lsn);
  return {};
}

uint64_t Generation::id_bytes_of(uint32_t slots) const {
  return slots == 0 ? 0 : rows()[slots - 1].id_offset + rows()[slots - 1].id_bytes;
}

Status Generation::reserve(uint32_t slots, uint64_t id_bytes, MappedFile::Space space) {
  const Geometry& geometry = graph_->geometry();
  const uint32_t first = graph_->slot_count();
  const uint64_t last = uint64_t{first} + slots;
  if (last > slots_max_) {
    return {Code::kLimit, "a collection of this dimension holds at most " + std::to_string(slots_max_) +
                              " vectors, deleted and replaced ones included; use another collection"};
  }
  uint64_t upper_rows = graph_->upper_rows();
  for (uint64_t i = first; i < last; ++i) {
    upper_rows += static_cast<uint64_t>(geometry.level(Slot{static_cast<uint32_t>(i)}));
  }
  std::lock_guard<std::mutex> lock(growth_mutex_);
  VS_RETURN_IF_ERROR(files_.rows.ensure(last * sizeof(Row), space));
  VS_RETURN_IF_ERROR(files_.ids.ensure(id_bytes_ + id_bytes, space));
  VS_RETURN_IF_ERROR(files_.vectors.ensure(last * geometry.vector_stride(), space));
  VS_RETURN_IF_ERROR(files_.links0.ensure(last * geometry.links0_stride(), space));
  return files_.upper.ensure(upper_rows * geometry.upper_row_stride(), space);
}

Slot Generation::append(Lsn lsn, std::string_view id, std::span<const float> vector) {
  const Slot slot{graph_->slot_count()};
  VS_CHECK(vector.size() == dim_ && (slot.value + uint64_t{1}) * sizeof(Row) <= files_.rows.capacity());
  std::memcpy(files_.ids.data() + id_bytes_, id.data(), id.size());
  // The padding behind the last component is zero since the file was grown.
  std::memcpy(files_.vectors.data() + slot.value * graph_->geometry().vector_stride(), vector.data(),
              vector.size_bytes());
  rows()[slot.value] = {lsn.value, id_bytes_, static_cast<uint32_t>(id.size()), 0};
  id_bytes_ += id.size();
  graph_->extend(slot.value + 1);
  return slot;
}

Slot Generation::first_after(Lsn lsn) const {
  const Row* begin = rows();
  const Row* end = begin + graph_->slot_count();
  return Slot{static_cast<uint32_t>(
      std::upper_bound(begin, end, lsn.value, [](uint64_t value, const Row& r) { return value < r.lsn; }) - begin)};
}

std::optional<Slot> Generation::find(Lsn lsn) const {
  if (lsn.value == 0) return std::nullopt;
  const Slot slot = first_after(Lsn{lsn.value - 1});
  if (slot.value >= graph_->slot_count() || row(slot).lsn != lsn.value) return std::nullopt;
  return slot;
}

std::string_view Generation::id(Slot slot) const {
  return {reinterpret_cast<const char*>(files_.ids.data()) + row(slot).id_offset, row(slot).id_bytes};
}

bool Generation::has_flag(Slot slot, uint32_t flag) const {
  return (std::atomic_ref(rows()[slot.value].flags).load(std::memory_order_relaxed) & flag) != 0;
}

void Generation::set_flag(Slot slot, uint32_t flag) {
  std::atomic_ref(rows()[slot.value].flags).fetch_or(flag, std::memory_order_relaxed);
}

void Generation::clear_flag(Slot slot, uint32_t flag) {
  std::atomic_ref(rows()[slot.value].flags).fetch_and(~flag, std::memory_order_relaxed);
}

std::vector<std::pair<const char*, MappedFile*>> Generation::files() {
  return {{"rows.dat", &files_.rows},
          {"ids.dat", &files_.ids},
          {"vectors.dat", &files_.vectors},
          {"links0.dat", &files_.links0},
          {"upper.dat", &files_.upper}};
}

Status Generation::sync() {
  for (const auto& [name, file] : files()) {
    uint64_t capacity = 0;
    {
      std::lock_guard<std::mutex> lock(growth_mutex_);
      capacity = file->capacity();
    }
    VS_RETURN_IF_ERROR(file->sync(capacity));
  }
  return {};
}

std::vector<std::pair<std::string, uint64_t>> Generation::file_bytes() const {
  std::lock_guard<std::mutex> lock(growth_mutex_);
  std::vector<std::pair<std::string, uint64_t>> bytes;
  for (const auto& [name, file] : const_cast<Generation*>(this)->files()) {
    bytes.emplace_back(name, MappedFile::kHeaderBytes + file->capacity());
  }
  return bytes;
}

}  // namespace vs::storage
