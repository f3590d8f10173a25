// Why a live point is not among the results of a search: found out by searching in other ways. The searches are made by
// the caller, so that every answer can be tested, also those that a sound graph never gives.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace vs::cli {

struct WhyNotQuestion {
  std::string id;
  std::string query_id;        // the query is this point's vector; empty: another vector
  uint64_t k = 0;              // 1 to limits::kKMax
  std::optional<uint64_t> ef;  // none: the collection's
};

struct WhyNotSearch {
  bool by_own_vector = false;  // of the point that is asked about, instead of the query
  bool exact = false;
  uint64_t k = 0;
  std::optional<uint64_t> ef;
};
struct WhyNotFound {
  std::vector<std::string> ids;  // nearest first
  std::vector<float> distances;
  uint64_t ef = 0;
  bool fell_back = false;  // the graph gave too few, so all points were compared
};
// nullopt ends everything: the caller knows why.
using WhyNotSearcher = std::function<std::optional<WhyNotFound>(const WhyNotSearch&)>;

enum class Verdict {
  kFound,        // it is among the results
  kQueryItself,  // a query by a point leaves that point out
  kGone,         // deleted meanwhile
  kFarther,      // k points are nearer, or as near and older
  kCutOff,       // a larger ef finds it
  kHardToReach,  // linked, but no ef finds it from this query
  kUnreachable,  // not even a search for its own vector finds it
};
std::string verdict_name(Verdict verdict);

struct WhyNotAnswer {
  Verdict verdict = Verdict::kFound;
  uint64_t k = 0;
  uint64_t ef = 0;                        // that the search used; 0 for kQueryItself
  bool fell_back = false;                 // of the search in question
  std::optional<uint64_t> rank;           // among the results, from 1
  std::optional<uint64_t> true_rank;      // among all points; none: beyond limits::kKMax, or not asked for
  std::optional<float> distance;          // none where true_rank is none and it is not among the results
  std::optional<float> kth_distance;      // of the true k-th
  bool tie = false;                       // kFarther: as near as the k-th, which is older
  std::optional<uint64_t> found_with_ef;  // the first that found it, of those that were tried
  uint64_t not_with_ef = 0;               // the last that did not; 0: none was tried

  // A sentence or two for people. `collection` is for the command that mends it.
  std::string text(const WhyNotQuestion& question, const std::string& collection) const;
};

// REQUIRES: the point is live. nullopt when a search gave that.
std::optional<WhyNotAnswer> why_not(const WhyNotQuestion& question, const WhyNotSearcher& search);

}  // namespace vs::cli
