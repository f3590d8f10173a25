// Reading a collection: points from RocksDB, searches from the graph.
#include "storage/collection.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "storage/collection_impl.h"
#include "storage/commit_queue.h"

namespace vs::storage {
namespace {

// What a page of SCAN may carry of vectors and attributes, so that a reply stays near a request's largest size.
constexpr size_t kScanPageBytes = limits::kLineBytes;

// Looks for the new slots of points that were replaced during the last look.
constexpr int kTriesForReplaced = 8;

Status check_range(const char* what, uint32_t value, uint32_t max) {
  if (value >= 1 && value <= max) return {};
  return {Code::kBadArgument,
          std::string(what) + ": expected 1.." + std::to_string(max) + ", got " + std::to_string(value)};
}

}  // namespace

CollectionImpl::CollectionImpl(std::string name, const CollectionInfo& info, Store& store, CommitQueue& queue,
                               std::shared_ptr<Generation> generation)
    : name_(std::move(name)),
      number_(info.number),
      dim_(info.config.dim),
      metric_(info.config.metric),
      ef_search_(info.config.ef_search),
      store_(store),
      queue_(queue),
      generation_(std::move(generation)),
      info_(info) {}

Status CollectionImpl::gone() const {
  return {Code::kNotFound, "collection '" + name_ + "' was dropped; LIST shows those that are there"};
}

void CollectionImpl::add(AddRequest request, AddDone done) {
  Status status;
  if (request.vector.size() != dim_) {
    status = {Code::kDimensionMismatch, "collection '" + name_ + "' has " + std::to_string(dim_) +
                                            " dimensions, the vector has " + std::to_string(request.vector.size())};
  } else {
    status = validate_vector(metric_, request.vector);
  }
  if (!status.ok()) return done(status);
  queue_.submit(CommitQueue::Add{shared_from_this(), std::move(request), std::move(done)});
}

void CollectionImpl::remove(std::vector<std::string> ids, DeleteDone done) {
  queue_.submit(CommitQueue::Delete{shared_from_this(), std::move(ids), std::move(done)});
}

Status CollectionImpl::attach(Point& point, Lsn lsn, With with) const {
  if (!with.attributes && !with.vector) return {};
  VS_ASSIGN_OR_RETURN(const std::string value, store_.get_record(number(), lsn));
  VS_ASSIGN_OR_RETURN(const Record record, decode_record(value, dim_));
  if (with.attributes) point.attributes = record.attributes.empty() ? "{}" : record.attributes;
  if (with.vector) point.vector = decode_vector(record.vector);
  return {};
}

Result<Point> CollectionImpl::get(const std::string& id, With with) const {
  if (dropped()) return gone();
  Point point{.id = id, .attributes = {}, .vector = {}, .links = {}};
  // The record goes when the point is replaced and a checkpoint follows: then the id has a new LSN, so ask again.
  for (;;) {
    VS_ASSIGN_OR_RETURN(const auto lsn, store_.find_id(number(), id));
    if (!lsn) return Status{Code::kNotFound, "no point '" + id + "' in collection '" + name_ + "'"};
    const Status status = attach(point, *lsn, with);
    if (status.ok()) return point;
    VS_ASSIGN_OR_RETURN(const auto again, store_.find_id(number(), id));
    if (status.code() != Code::kNotFound || again == lsn) {
      return status.code() == Code::kNotFound ? Status{Code::kCorrupt, status.message()} : status;
    }
  }
}

Status CollectionImpl::check_request(const SearchRequest& request) const {
  if (dropped()) return gone();
  VS_RETURN_IF_ERROR(check_range("k", request.k, limits::kKMax));
  if (request.ef != 0) VS_RETURN_IF_ERROR(check_range("ef", request.ef, limits::kEfMax));
  if (request.radius && !std::isfinite(*request.radius)) {
    return {Code::kBadArgument, "radius: expected a finite number"};
  }
  if (request.id) return {};
  if (request.vector.size() != dim_) {
    return {Code::kDimensionMismatch, "collection '" + name_ + "' has " + std::to_string(dim_) +
                                          " dimensions, the query has " + std::to_string(request.vector.size())};
  }
  return validate_vector(metric_, request.vector);
}

// As the graph compares it: of unit length for cosine.
Result<std::vector<float>> CollectionImpl::query_of(const SearchRequest& request) const {
  std::vector<float> query;
  if (request.id) {
    VS_ASSIGN_OR_RETURN(Point point, get(*request.id, {.vector = true}));
    query = std::move(point.vector);
  } else {
    query = request.vector;
  }
  if (metric_ == Metric::kCosine) normalize(query);
  return query;
}

// Turns slots into points. Leaves out the query's own id, what was retracted since, and the farther of two slots of one id
// (a search beside an update may see both). What a match shows is of the slot's own record, so that it fits the
// distance. That record goes when the point is replaced and a checkpoint follows: then nothing, to search again, perhaps
// in another generation.
Result<std::optional<CollectionImpl::Collected>> CollectionImpl::collect(const Generation& generation,
                                                                         const std::vector<Neighbor>& neighbors,
                                                                         const SearchRequest& request) const {
  std::unordered_set<std::string_view> seen;
  Collected collected;
  for (const Neighbor& neighbor : neighbors) {
    if (collected.matches.size() == request.k) break;
    const float distance = user_distance(metric_, neighbor.distance);
    if (request.radius && distance > *request.radius) break;
    if (!generation.graph().live(neighbor.slot)) {
      collected.retracted = true;
      continue;
    }
    const std::string_view id = generation.id(neighbor.slot);
    if (request.id && id == *request.id) continue;
    if (!seen.insert(id).second) continue;
    Match match{.point = {.id = std::string(id), .attributes = {}, .vector = {}, .links = {}}, .distance = distance};
    const Lsn lsn = generation.lsn(neighbor.slot);
    const Status status = attach(match.point, lsn, request.with);
    if (status.code() == Code::kNotFound) {
      VS_ASSIGN_OR_RETURN(const auto current, store_.find_id(number(), match.point.id));
      if (current == lsn) return Status{Code::kCorrupt, status.message()};
      if (current || generation.graph().live(neighbor.slot)) return std::optional<Collected>{};
      collected.retracted = true;
      continue;
    }
    VS_RETURN_IF_ERROR(status);
    collected.matches.push_back(std::move(match));
  }
  return std::optional(std::move(collected));
}

// One search: the nearest `count` when `exact`, else those of ef=count; with the points that were replaced meanwhile
// (replacements.h).
Result<std::optional<CollectionImpl::Collected>> CollectionImpl::search(const Generation& generation,
                                                                        std::span<const float> query,
                                                                        const SearchRequest& request, bool exact,
                                                                        uint32_t count, SearchTrace& trace) const {
  const Graph& graph = generation.graph();
  uint64_t replacements = generation.replacements().count();
  const uint32_t wanted = request.radius ? count : request.k + (request.id ? 1 : 0);
  std::vector<Neighbor> neighbors =
      exact ? graph.search_exact(query.data(), count, &trace) : graph.search(query.data(), count, &trace, wanted);
  const size_t found = neighbors.size();
  for (int tries = 0;; ++tries) {
    for (const Slot slot : generation.replacements().since(replacements)) {
      const Neighbor neighbor{graph.distance(query.data(), slot), slot};
      ++trace.distances;
      const auto place = std::lower_bound(neighbors.begin(), neighbors.end(), neighbor);
      if (place == neighbors.end() || place->slot != slot) neighbors.insert(place, neighbor);
    }
    VS_ASSIGN_OR_RETURN(auto collected, collect(generation, neighbors, request));
    if (collected) collected->found = found;
    // What was replaced since has another slot now. Somebody may replace points faster than this loop goes round.
    if (!collected || !collected->retracted || tries == kTriesForReplaced) return collected;
    if (generation.replacements().count() == replacements) return collected;
  }
}

Result<SearchReply> CollectionImpl::search(const SearchRequest& request) const {
  VS_RETURN_IF_ERROR(check_request(request));
  VS_ASSIGN_OR_RETURN(const std::vector<float> query, query_of(request));
  searches_.fetch_add(1, std::memory_order_relaxed);
  const uint32_t wanted = request.k + (request.id ? 1 : 0);

  SearchReply reply;
  reply.ef = std::max(request.ef != 0 ? request.ef : ef_search(), wanted);
  SearchTrace trace;
  uint32_t asked = wanted;
  for (reply.exact = request.exact;;) {
    // A generation that was replaced meanwhile does not learn of deletions any more.
    const std::shared_ptr<const Generation> generation = this->generation();
    const Graph& graph = generation->graph();
    reply.exact = reply.exact || graph.exact_pays(reply.ef);
    VS_ASSIGN_OR_RETURN(auto collected,
                        search(*generation, query, request, reply.exact, reply.exact ? asked : reply.ef, trace));
    if (!collected) continue;
    reply.matches = std::move(collected->matches);
    // Too few, because links were lost, or points were deleted or replaced meanwhile: whoever asks for k points gets them
    // even then.
    const uint64_t live = graph.live_count();
    const bool enough = request.radius
                            ? collected->found >= std::min<uint64_t>(wanted, live)
                            : reply.matches.size() + (request.id ? 1 : 0) >= std::min<uint64_t>(wanted, live);
    if (enough || (reply.exact && collected->found < asked)) {
      if (trace.entry != kNoSlot && graph.live(trace.entry)) reply.entry_point = generation->id(trace.entry);
      break;
    }
    if (reply.exact) asked *= 2;
    reply.exact = true;
  }
  reply.fell_back = reply.exact && !request.exact;
  reply.distances = trace.distances;
  reply.from_short_codes = trace.from_short_codes;
  reply.from_codes = trace.from_codes;
  reply.hops = std::move(trace.hops);
  return reply;
}

std::vector<std::vector<std::string>> CollectionImpl::links_of(const Generation& generation, Slot slot) const {
  const Graph& graph = generation.graph();
  std::vector<std::vector<std::string>> layers;
  for (int layer = 0; layer <= graph.level(slot); ++layer) {
    std::vector<std::string>& ids = layers.emplace_back();
    for (const uint32_t& word : graph.links(slot, layer)) {
      const uint32_t link = Graph::load_link(word);
      if (link == 0 || link > graph.slot_count() || !graph.live(Slot{link - 1})) continue;
      ids.emplace_back(generation.id(Slot{link - 1}));
    }
  }
  return layers;
}

Result<ScanReply> CollectionImpl::scan(const ScanRequest& request) const {
  if (dropped()) return gone();
  VS_RETURN_IF_ERROR(check_range("limit", request.limit, limits::kScanLimitMax));
  const std::shared_ptr<const Generation> generation = this->generation();
  const Graph& graph = generation->graph();
  const uint32_t count = graph.slot_count();
  ScanReply reply;
  size_t bytes = 0;
  for (Slot slot = generation->first_after(request.after); slot.value < count; ++slot.value) {
    if (!graph.live(slot)) continue;
    if (reply.points.size() == request.limit || bytes >= kScanPageBytes) {
      reply.next = Lsn{generation->lsn(slot).value - 1};
      break;
    }
    Point point{.id = std::string(generation->id(slot)), .attributes = {}, .vector = {}, .links = {}};
    const Status status = attach(point, generation->lsn(slot), request.with);
    if (status.code() == Code::kNotFound) {
      // Deleted or replaced, and trimmed since; a generation that was switched away from does not learn of that.
      VS_ASSIGN_OR_RETURN(const auto current, store_.find_id(number(), point.id));
      if (current == generation->lsn(slot)) return Status{Code::kCorrupt, status.message()};
      continue;
    }
    VS_RETURN_IF_ERROR(status);
    if (request.with.links) point.links = links_of(*generation, slot);
    // About ten characters a number in a reply.
    bytes += point.vector.size() * 10 + point.attributes.size();
    reply.points.push_back(std::move(point));
  }
  return reply;
}

CollectionStats CollectionImpl::stats() const {
  const std::shared_ptr<const Generation> generation = this->generation();
  const Graph& graph = generation->graph();
  CollectionStats stats;
  stats.config = config();
  stats.live = graph.live_count();
  stats.deleted = graph.dead_count();
  for (int layer = 0; layer <= limits::kLayerMax && graph.slots_on(layer) > 0; ++layer) {
    stats.layers.push_back(graph.slots_on(layer));
  }
  stats.lsn = last_lsn();
  stats.applied_lsn = window_.mark().lsn;
  {
    std::lock_guard<std::mutex> lock(info_mutex_);
    stats.generation = info_.generation;
    stats.checkpoint_lsn = info_.checkpoint_lsn;
  }
  stats.bytes = generation->file_bytes();
  stats.locked_bytes = generation->locked_bytes();
  stats.codes = graph.codes().state();
  stats.pca = graph.codes().pca_state();
  return stats;
}

}  // namespace vs::storage
