#include "storage/generation.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

namespace vs::storage {
namespace {

// Address space of a generation's vectors. A collection cannot outgrow it; a process has 128 TiB for all collections.
// Sanitizers keep a shadow of all of it, and have less.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kVectorsReserve = uint64_t{2} << 30;
#else
constexpr uint64_t kVectorsReserve = uint64_t{112} << 30;
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

std::vector<FileLayout> layouts(const Geometry& geometry, bool with_codes) {
  const uint64_t slots = slots_max_of(geometry);
  std::vector<FileLayout> files = {
      {"rows.dat", FileKind::kRows, sizeof(Row), slots * sizeof(Row)},
      {"ids.dat", FileKind::kIds, 1, std::min(slots * kIdBytesAverageMax, kVectorsReserve / 2)},
      {"vectors.dat", FileKind::kVectors, geometry.vector_stride(), slots * geometry.vector_stride()},
      {"links0.dat", FileKind::kLinks0, geometry.links0_stride(), slots * geometry.links0_stride()},
      // Fewer rows than slots, unless ml was chosen larger than 1.
      {"upper.dat", FileKind::kUpper, geometry.upper_row_stride(), slots * geometry.upper_row_stride()}};
  const size_t code_stride = vs::Codes::stride(geometry.dim);
  if (with_codes) files.push_back({"codes.dat", FileKind::kCodes, code_stride, slots * code_stride});
  return files;
}

bool has_codes(const CollectionConfig& config) { return config.codes.value_or(CodeType::kNone) != CodeType::kNone; }

FileIdentity file_identity(const FileLayout& file, const Generation::Identity& identity) {
  return {file.kind, static_cast<uint32_t>(file.element_bytes), identity.uuid, identity.number};
}

uint32_t check_of(const Row& row, std::string_view id) {
  const std::array<uint64_t, 3> fixed{row.lsn, row.id_offset, row.id_bytes};
  return static_cast<uint32_t>(XXH3_64bits_withSeed(id.data(), id.size(), XXH3_64bits(fixed.data(), sizeof fixed)));
}

bool flags_are_whole(uint16_t flags) {
  const auto whole = [](unsigned byte) { return byte == 0 || byte == 0xff; };
  return whole(flags & Row::kDead) && whole(flags >> 8);
}

}  // namespace

Result<Generation::Files> Generation::with_files(const Identity& identity, const CollectionConfig& config,
                                                 const MakeFile& make) {
  const auto layout = layouts(geometry_of(config), has_codes(config));
  const auto get = [&](const FileLayout& file) {
    return make(identity.directory + "/" + file.name, file_identity(file, identity), file.reserve);
  };
  VS_ASSIGN_OR_RETURN(auto rows, get(layout[0]));
  VS_ASSIGN_OR_RETURN(auto ids, get(layout[1]));
  VS_ASSIGN_OR_RETURN(auto vectors, get(layout[2]));
  VS_ASSIGN_OR_RETURN(auto links0, get(layout[3]));
  VS_ASSIGN_OR_RETURN(auto upper, get(layout[4]));
  Files files{std::move(rows), std::move(ids), std::move(vectors), std::move(links0), std::move(upper), {}};
  if (has_codes(config)) {
    VS_ASSIGN_OR_RETURN(auto codes, get(layout[5]));
    files.codes = std::move(codes);
  }
  return files;
}

Generation::Generation(Identity identity, const CollectionConfig& config, Files files, uint32_t slots_max)
    : identity_(std::move(identity)), config_(config), files_(std::move(files)), slots_max_(slots_max) {
  const GraphConfig graph_config{geometry_of(config), config.metric, config.ef_construction,
                                 config.codes == CodeType::kPca};
  const GraphMemory memory{files_.vectors.data(), reinterpret_cast<uint32_t*>(files_.links0.data()),
                           reinterpret_cast<uint32_t*>(files_.upper.data()),
                           files_.codes ? files_.codes->data() : nullptr};
  graph_ = std::make_unique<Graph>(graph_config, memory, slots_max);
  vacuum_ = std::make_unique<Vacuum>(*graph_);
}

Result<std::unique_ptr<Generation>> Generation::create(FileSystem& file_system, const Identity& identity,
                                                       const CollectionConfig& config) {
  // What an interrupted attempt left behind is in nobody's use: RocksDB does not name this generation yet.
  VS_RETURN_IF_ERROR(file_system.remove_all(identity.directory));
  VS_RETURN_IF_ERROR(file_system.create_directories(identity.directory));
  const auto make = [&](const std::string& path, const FileIdentity& file, uint64_t reserve) {
    return MappedFile::create(file_system, path, file, reserve);
  };
  VS_ASSIGN_OR_RETURN(auto files, with_files(identity, config, make));
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
                                                     const CollectionConfig& config, uint32_t slots,
                                                     const std::optional<CodeState>& codes, Access access) {
  auto opened = with_files(identity, config, [&](const std::string& path, const FileIdentity& file, uint64_t reserve) {
    return MappedFile::open(file_system, path, file, reserve, access);
  });
  if (!opened.ok()) {
    const Status& status = opened.status();
    return status.code() == Code::kNotFound ? Status{Code::kCorrupt, status.message()} : status;
  }
  const Geometry geometry = geometry_of(config);
  const uint32_t slots_max = slots_max_of(geometry);
  if (slots > slots_max) {
    return Status{Code::kCorrupt, identity.directory + ": more slots are recorded than fit in a generation"};
  }
  std::unique_ptr<Generation> generation(new Generation(identity, config, *std::move(opened), slots_max));
  uint64_t upper_rows = 0;
  for (Slot slot{0}; slot.value < slots; ++slot.value) upper_rows += static_cast<uint64_t>(geometry.level(slot));
  VS_RETURN_IF_ERROR(generation->check_sizes(slots, upper_rows));
  VS_RETURN_IF_ERROR(generation->check_rows(slots));
  generation->id_bytes_ = generation->id_bytes_of(slots);

  if (access == Access::kReadWrite) {
    // What lies behind the slots belongs to operations that are replayed or never were; growing again gives zeros.
    Files& files = generation->files_;
    VS_RETURN_IF_ERROR(files.rows.shrink(slots * sizeof(Row)));
    VS_RETURN_IF_ERROR(files.ids.shrink(generation->id_bytes_));
    VS_RETURN_IF_ERROR(files.vectors.shrink(slots * geometry.vector_stride()));
    VS_RETURN_IF_ERROR(files.links0.shrink(slots * geometry.links0_stride()));
    VS_RETURN_IF_ERROR(files.upper.shrink(upper_rows * geometry.upper_row_stride()));
    if (files.codes) VS_RETURN_IF_ERROR(files.codes->shrink(slots * vs::Codes::stride(config.dim)));
  }
  generation->graph_->codes().adopt(slots, codes);
  generation->graph_->extend(slots);
  return generation;
}

// All but ids.dat, whose size stands in the rows.
Status Generation::check_sizes(uint32_t slots, uint64_t upper_rows) const {
  const Geometry& geometry = graph_->geometry();
  const auto check = [&](const MappedFile& file, uint64_t bytes, const char* name) {
    if (file.capacity() >= bytes) return Status{};
    return Status{Code::kCorrupt, identity_.directory + "/" + name + ": " + std::to_string(file.capacity()) +
                                      " bytes of elements, " + std::to_string(bytes) + " were expected"};
  };
  VS_RETURN_IF_ERROR(check(files_.rows, slots * sizeof(Row), "rows.dat"));
  VS_RETURN_IF_ERROR(check(files_.vectors, slots * geometry.vector_stride(), "vectors.dat"));
  VS_RETURN_IF_ERROR(check(files_.links0, slots * geometry.links0_stride(), "links0.dat"));
  if (files_.codes) VS_RETURN_IF_ERROR(check(*files_.codes, slots * vs::Codes::stride(geometry.dim), "codes.dat"));
  return check(files_.upper, upper_rows * geometry.upper_row_stride(), "upper.dat");
}

Status Generation::check_rows(uint32_t slots) const {
  for (Slot slot{0}; slot.value < slots; ++slot.value) {
    if (const auto problem = row_problem(slot)) {
      return {Code::kCorrupt, identity_.directory + "/rows.dat: row " + std::to_string(slot.value) + *problem};
    }
  }
  return {};
}

// Rows rise in LSN and follow each other in ids.dat without gaps, as append() wrote them.
std::optional<std::string> Generation::row_problem(Slot slot) const {
  const Row& r = row(slot);
  const uint64_t lsn_before = slot.value == 0 ? 0 : rows()[slot.value - 1].lsn;
  if (r.lsn <= lsn_before) {
    return " has LSN " + std::to_string(r.lsn) + ", the one before it " + std::to_string(lsn_before);
  }
  const uint64_t id_begin = id_bytes_of(slot.value);
  if (r.id_offset != id_begin || r.id_bytes == 0 || r.id_bytes > limits::kIdBytes) {
    return " names bytes " + std::to_string(r.id_offset) + "+" + std::to_string(r.id_bytes) +
           " of ids.dat, its id begins at " + std::to_string(id_begin);
  }
  if (r.id_offset + r.id_bytes > files_.ids.capacity()) {
    return " names bytes behind the end of ids.dat, which has " + std::to_string(files_.ids.capacity());
  }
  if (r.check != check_of(r, id_of(r))) return " or its id in ids.dat is damaged: the checksum does not match";
  const uint16_t flags = std::atomic_ref(rows()[slot.value].flags).load(std::memory_order_relaxed);
  if (!flags_are_whole(flags)) return " has damaged flags, " + std::to_string(flags);
  return std::nullopt;
}

void Generation::adopt_rows() {
  const uint32_t slots = graph_->slot_count();
  for (Slot slot{0}; slot.value < slots; ++slot.value) {
    if (!has_flag(slot, Row::kUnlinked)) graph_->adopt(slot);
    if (has_flag(slot, Row::kDead)) {
      graph_->retract(slot);
    } else {
      graph_->publish(slot);
    }
  }
  vacuum_ = std::make_unique<Vacuum>(*graph_);  // what was adopted is no news
}

void Generation::for_each_row_behind(const std::function<void(const Row&, std::string_view id)>& visit) const {
  const uint64_t backed = files_.rows.capacity() / sizeof(Row);
  const uint64_t ids = files_.ids.capacity();
  for (uint64_t i = graph_->slot_count(); i < backed; ++i) {
    const Row& r = rows()[i];
    if (r.lsn == 0 || r.id_offset > ids || r.id_bytes > ids - r.id_offset || !flags_are_whole(r.flags)) continue;
    if (r.check == check_of(r, id_of(r))) visit(r, id_of(r));
  }
}

void Generation::rewrite_vector(Slot slot, std::span<const float> vector) {
  std::byte* const place = files_.vectors.data() + slot.value * graph_->geometry().vector_stride();
  std::memset(place, 0, graph_->geometry().vector_stride());
  std::memcpy(place, vector.data(), vector.size_bytes());
  graph_->codes().rewrite(slot);
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
  if (files_.codes) VS_RETURN_IF_ERROR(files_.codes->ensure(last * vs::Codes::stride(geometry.dim), space));
  return files_.upper.ensure(upper_rows * geometry.upper_row_stride(), space);
}

Slot Generation::append(Lsn lsn, std::string_view id, std::span<const float> vector) {
  const Slot slot{graph_->slot_count()};
  VS_CHECK(vector.size() == config_.dim && (slot.value + uint64_t{1}) * sizeof(Row) <= files_.rows.capacity());
  std::memcpy(files_.ids.data() + id_bytes_, id.data(), id.size());
  // The padding behind the last component is zero since the file was grown.
  std::memcpy(files_.vectors.data() + slot.value * graph_->geometry().vector_stride(), vector.data(),
              vector.size_bytes());
  Row row{
      .lsn = lsn.value, .id_offset = id_bytes_, .id_bytes = static_cast<uint16_t>(id.size()), .flags = 0, .check = 0};
  row.check = check_of(row, id);
  rows()[slot.value] = row;
  id_bytes_ += id.size();
  graph_->extend(slot.value + 1);
  return slot;
}

void Generation::apply(std::optional<Slot> slot, Lsn previous) {
  const std::optional<Slot> replaced = find(previous);
  if (slot) {
    graph_->insert(*slot, nullptr, replaced.value_or(kNoSlot));
    graph_->publish(*slot);
    if (previous.value != 0) replacements_.add(*slot);
  }
  // After the new one, so that a point which is replaced can be found at any moment; a search that saw both returns the
  // nearer one (collection.cc).
  if (replaced) kill(*replaced, slot.value_or(kNoSlot));
}

void Generation::kill(Lsn previous) {
  if (const auto slot = find(previous)) kill(*slot);
}

void Generation::kill(Slot slot, Slot successor) {
  set_flag(slot, Row::kDead);
  graph_->retract(slot, successor);
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

std::string_view Generation::id(Slot slot) const { return id_of(row(slot)); }

std::string_view Generation::id_of(const Row& r) const {
  return {reinterpret_cast<const char*>(files_.ids.data()) + r.id_offset, r.id_bytes};
}

bool Generation::has_flag(Slot slot, uint16_t flag) const {
  return (std::atomic_ref(rows()[slot.value].flags).load(std::memory_order_relaxed) & flag) != 0;
}

void Generation::set_flag(Slot slot, uint16_t flag) {
  std::atomic_ref(rows()[slot.value].flags).fetch_or(flag, std::memory_order_relaxed);
}

void Generation::clear_flag(Slot slot, uint16_t flag) {
  std::atomic_ref(rows()[slot.value].flags).fetch_and(static_cast<uint16_t>(~flag), std::memory_order_relaxed);
}

std::vector<std::pair<const char*, MappedFile*>> Generation::files() {
  std::vector<std::pair<const char*, MappedFile*>> all = {{"rows.dat", &files_.rows},
                                                          {"ids.dat", &files_.ids},
                                                          {"vectors.dat", &files_.vectors},
                                                          {"links0.dat", &files_.links0},
                                                          {"upper.dat", &files_.upper}};
  if (files_.codes) all.emplace_back("codes.dat", &*files_.codes);
  return all;
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

Status Generation::lock_hot_files() {
  const auto lock = [this](MappedFile& file, std::atomic<uint64_t>& locked) -> Status {
    uint64_t capacity = 0;
    {
      std::lock_guard<std::mutex> growth_lock(growth_mutex_);
      capacity = file.capacity();
    }
    if (capacity == locked) return {};
    VS_RETURN_IF_ERROR(file.lock(locked, capacity));
    locked = capacity;
    return {};
  };
  VS_RETURN_IF_ERROR(lock(files_.links0, locked_links0_));
  return files_.codes ? lock(*files_.codes, locked_codes_) : Status{};
}

Status Generation::verify_files() const {
  std::lock_guard<std::mutex> lock(growth_mutex_);
  const auto layout = layouts(graph_->geometry(), files_.codes.has_value());
  size_t i = 0;
  for (const auto& [name, file] : const_cast<Generation*>(this)->files()) {
    VS_RETURN_IF_ERROR(file->verify(file_identity(layout[i++], identity_)));
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
