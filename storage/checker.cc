#include "storage/checker.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <unordered_set>

#include "index/audit.h"

namespace vs::storage {
namespace {

// Points of the sample that recall is measured with.
constexpr uint32_t kRecallQueries = 100;
// Below this share of points that find themselves a graph is called broken. Hard data has a low recall@10 with a small
// ef_search, but a point hardly ever misses itself.
constexpr double kSelfRecallMin = 0.5;
// Of a unit vector's squared length, after rounding to float.
constexpr float kUnitTolerance = 1e-3f;

}  // namespace

void Checker::note(const char* kind, std::string detail) {
  ++findings_.count;
  if (findings_.texts.size() < CheckReport::kProblemsMax) findings_.texts.push_back({kind, std::move(detail)});
}

std::string Checker::name_of(Slot slot) const {
  std::string name = "slot " + std::to_string(slot.value);
  if (!target_.generation.row_problem(slot)) name += " ('" + std::string(target_.generation.id(slot)) + "')";
  return name;
}

Status Checker::look(const CheckOptions& options, Progress& progress) {
  const uint32_t slots = graph().slot_count();
  progress.total += slots + (options.deep ? target_.last.value : target_.last.value - target_.checkpoint.value);
  look_at_files();
  if (findings_.rebuild) return {};
  for (Slot slot{0}; slot.value < slots; ++slot.value) {
    if (cancelled(progress)) return {Code::kShuttingDown, "cancelled"};
    if (const auto problem = target_.generation.row_problem(slot)) {
      note("row", "rows.dat: row " + std::to_string(slot.value) + *problem);
      findings_.rebuild = true;
      return {};
    }
    if (target_.settled) {
      VS_RETURN_IF_ERROR(look_at_liveness(slot));
      look_at_links(slot);
    }
    ++progress.done;
  }
  VS_RETURN_IF_ERROR(target_.store.for_each_id(target_.number, [&](std::string_view id, Lsn lsn) {
    if (cancelled(progress)) return Status{Code::kShuttingDown, "cancelled"};
    return look_at_id(id, lsn);
  }));
  VS_RETURN_IF_ERROR(look_at_log(options.deep, progress));
  if (!target_.settled) return {};
  look_at_reach();
  if (options.deep) measure_recall();
  return {};
}

Status Checker::confirm(const Findings& suspects, const CheckOptions& options, Progress& progress) {
  // What concerns the whole is cheap to find again with the whole; the rest is looked at one by one.
  if (suspects.rebuild || suspects.count > suspects.liveness.size() + suspects.links.size() + suspects.reach.size()) {
    return look(options, progress);
  }
  for (const Slot slot : suspects.liveness) VS_RETURN_IF_ERROR(look_at_liveness(slot));
  for (const Slot slot : suspects.links) look_at_links(slot);
  if (!suspects.reach.empty()) look_at_reach();
  return {};
}

void Checker::look_at_files() {
  if (const Status status = target_.generation.verify_files(); !status.ok()) {
    note("file", status.message());
    findings_.rebuild = true;
  }
}

Status Checker::look_at_liveness(Slot slot) {
  const Generation& generation = target_.generation;
  VS_ASSIGN_OR_RETURN(const auto current, target_.store.find_id(target_.number, generation.id(slot)));
  const bool expected = current == generation.lsn(slot);
  const bool live = graph().live(slot);
  const bool dead_row = generation.has_flag(slot, Row::kDead);
  if (live == expected && dead_row != expected) return {};
  note("liveness", name_of(slot) + " is " + (expected ? "the current point in RocksDB" : "deleted or replaced") +
                       ", but searches take it as " + (live ? "live" : "deleted") + " and its row says " +
                       (dead_row ? "deleted" : "live"));
  findings_.liveness.push_back(slot);
  return {};
}

Status Checker::look_at_id(std::string_view id, Lsn lsn) {
  const auto slot = target_.generation.find(lsn);
  if (slot && target_.generation.id(*slot) == id) return {};
  if (lsn > target_.last) return {};  // about to be appended
  // Behind the checkpoint of a directory that was not closed, the slots come with the replay.
  if (!target_.settled && lsn > target_.checkpoint) return {};
  note("row", "point '" + std::string(id) + "' of operation " + std::to_string(lsn.value) + " has " +
                  (slot ? "the row of '" + std::string(target_.generation.id(*slot)) + "'" : std::string("no row")));
  findings_.rebuild = true;
  return {};
}

// From the checkpoint on, the log must be without gaps. A deep look reads all of it, and compares what it holds.
Status Checker::look_at_log(bool deep, Progress& progress) {
  const Lsn after = deep ? Lsn{} : target_.checkpoint;
  std::vector<std::pair<Lsn, std::string>> stale;  // unless a later record says that it is not trimmed yet
  std::unordered_set<uint64_t> superseded;         // by records behind the checkpoint
  std::vector<bool> read(deep ? graph().slot_count() : 0);
  Lsn expected{target_.checkpoint.value + 1};
  const auto visit = [&](Lsn lsn, std::string_view value) -> Status {
    if (cancelled(progress)) return {Code::kShuttingDown, "cancelled"};
    if (lsn <= target_.last) ++progress.done;
    if (lsn > target_.checkpoint) {
      if (lsn > expected) {
        note("log", "operations " + std::to_string(expected.value) + " to " + std::to_string(lsn.value - 1) +
                        " are missing in the log");
      }
      expected = Lsn{lsn.value + 1};
    }
    const auto record = decode_record(value, target_.generation.config().dim);
    if (!record.ok()) {
      note("log", "operation " + std::to_string(lsn.value) + ": " + record.status().message());
      return {};
    }
    if (lsn > target_.checkpoint) {
      superseded.insert(record->previous.value);
    } else {
      VS_ASSIGN_OR_RETURN(const auto current, target_.store.find_id(target_.number, record->id, target_.snapshot));
      if (current != lsn) stale.emplace_back(lsn, record->id);
    }
    const auto slot = deep ? target_.generation.find(lsn) : std::nullopt;
    if (!slot || slot->value >= read.size() || record->kind != Record::Kind::kUpsert) return {};
    read[slot->value] = true;
    return look_at_vector(*slot, *record);
  };
  VS_RETURN_IF_ERROR(target_.store.for_each_record(target_.number, after, visit, target_.snapshot));
  if (expected <= target_.last) {
    note("log", "the log ends at operation " + std::to_string(expected.value - 1) + ", " +
                    std::to_string(target_.last.value) + " was written");
  }
  for (const auto& [lsn, id] : stale) {
    if (superseded.contains(lsn.value)) continue;
    note("record", "operation " + std::to_string(lsn.value) + " on '" + id + "' was replaced before the checkpoint " +
                       "and takes space");
    findings_.stale.push_back(lsn);
  }
  for (Slot slot{0}; target_.settled && slot.value < read.size(); ++slot.value) {
    if (read[slot.value] || !graph().live(slot) || target_.generation.lsn(slot) > target_.last) continue;
    note("log", name_of(slot) + ": its operation " + std::to_string(target_.generation.lsn(slot).value) +
                    " is missing in the log");
  }
  return {};
}

Status Checker::look_at_vector(Slot slot, const Record& record) {
  std::vector<float> expected = decode_vector(record.vector);
  if (const Status valid = validate_vector(target_.generation.config().metric, expected); !valid.ok()) {
    note("log", "operation " + std::to_string(target_.generation.lsn(slot).value) + ": " + valid.message());
    return {};
  }
  if (target_.generation.config().metric == Metric::kCosine) normalize(expected);
  const std::span<const float> mapped = target_.generation.vector(slot);
  if (std::memcmp(mapped.data(), expected.data(), mapped.size_bytes()) == 0) {
    if (graph().codes().good(slot)) return {};
    note("code", name_of(slot) + ": its code in codes.dat is not that of its vector");
    findings_.codes.push_back(slot);
    return {};
  }

  const auto differs = std::mismatch(mapped.begin(), mapped.end(), expected.begin());
  std::string wrong = "component " + std::to_string(differs.first - mapped.begin()) + " is " +
                      std::to_string(*differs.first) + ", RocksDB has " + std::to_string(*differs.second);
  float square = 0;
  for (const float x : mapped) square += x * x;
  if (!std::isfinite(square)) {
    wrong += "; it is not finite";
  } else if (target_.generation.config().metric == Metric::kCosine && std::fabs(square - 1) > kUnitTolerance) {
    wrong += "; it is not of unit length";
  }
  note("vector", name_of(slot) + ": " + wrong);
  findings_.vectors.push_back(slot);
  return {};
}

void Checker::look_at_links(Slot slot) {
  if (const auto problem = link_problem(graph(), slot)) {
    note("link", name_of(slot) + *problem);
    findings_.links.push_back(slot);
  }
}

void Checker::look_at_reach() {
  findings_.reach = find_unreachable(graph());
  for (const Slot slot : findings_.reach) {
    note("reach", name_of(slot) + " cannot be reached from the entry point on layer 0");
  }
}

void Checker::measure_recall() {
  const uint32_t slots = graph().slot_count();
  const uint64_t live = graph().live_count();
  if (live == 0) return;
  const uint32_t step = std::max(1u, slots / kRecallQueries);
  uint64_t wanted = 0;
  uint64_t found = 0;
  uint64_t queries = 0;
  uint64_t found_self = 0;
  for (Slot slot{0}; slot.value < slots; slot.value += step) {
    if (!graph().live(slot)) continue;
    const float* const query = target_.generation.vector(slot).data();
    const auto exact = graph().search_exact(query, limits::kKDefault);
    const auto fast = graph().search(query, std::max(target_.ef_search, limits::kKDefault));
    if (exact.empty()) continue;
    // By distance, since several points may be equally far.
    wanted += exact.size();
    const auto end = fast.begin() + static_cast<std::ptrdiff_t>(std::min(fast.size(), exact.size()));
    const auto as_near = [&](const Neighbor& n) { return n.distance <= exact.back().distance; };
    found += static_cast<uint64_t>(std::count_if(fast.begin(), end, as_near));
    ++queries;
    if (!fast.empty() && fast.front().distance <= exact.front().distance) ++found_self;
  }
  if (queries == 0) return;
  recall_ = static_cast<double>(found) / static_cast<double>(wanted);
  if (static_cast<double>(found_self) < kSelfRecallMin * static_cast<double>(queries)) {
    note("recall", "of " + std::to_string(queries) + " points only " + std::to_string(found_self) +
                       " found themselves; REBUILD the collection");
  }
}

}  // namespace vs::storage
