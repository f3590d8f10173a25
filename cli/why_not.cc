#include "cli/why_not.h"

#include <algorithm>

#include "cli/table.h"
#include "index/limits.h"

namespace vs::cli {
namespace {

// From 1; nullopt if it is not there.
std::optional<uint64_t> rank_in(const WhyNotFound& found, const std::string& id) {
  const auto place = std::find(found.ids.begin(), found.ids.end(), id);
  if (place == found.ids.end()) return std::nullopt;
  return static_cast<uint64_t>(place - found.ids.begin()) + 1;
}

// Fills in true rank, distance and the true k-th. False when a search ended it all.
bool find_true_rank(const WhyNotQuestion& question, const WhyNotSearcher& search, WhyNotAnswer& answer) {
  // Most often it is near, and k are enough.
  for (const uint64_t k : {question.k, uint64_t{limits::kKMax}}) {
    const auto exact = search({.exact = true, .k = k});
    if (!exact) return false;
    if (exact->ids.size() >= question.k) answer.kth_distance = exact->distances[question.k - 1];
    answer.true_rank = rank_in(*exact, question.id);
    if (answer.true_rank) {
      answer.distance = exact->distances[*answer.true_rank - 1];
      return true;
    }
    if (exact->ids.size() < k) {  // they were all
      answer.verdict = Verdict::kGone;
      return true;
    }
  }
  return true;
}

// Looks for the ef that finds it. False when a search ended it all.
bool find_ef(const WhyNotQuestion& question, const WhyNotSearcher& search, WhyNotAnswer& answer) {
  answer.not_with_ef = answer.ef;
  while (answer.not_with_ef < limits::kEfMax) {
    const uint64_t ef = std::min<uint64_t>(answer.not_with_ef * 2, limits::kEfMax);
    const auto found = search({.k = question.k, .ef = ef});
    if (!found) return false;
    // What a comparison of all points found says nothing of the graph.
    if (!found->fell_back && rank_in(*found, question.id)) {
      answer.found_with_ef = ef;
      return true;
    }
    answer.not_with_ef = ef;
  }
  return true;
}

std::string number(float value) { return fixed(static_cast<double>(value), 4); }

}  // namespace

std::string verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kFound:
      return "found";
    case Verdict::kQueryItself:
      return "query_itself";
    case Verdict::kGone:
      return "gone";
    case Verdict::kFarther:
      return "farther";
    case Verdict::kCutOff:
      return "cut_off";
    case Verdict::kHardToReach:
      return "hard_to_reach";
    case Verdict::kUnreachable:
      return "unreachable";
  }
  return "";
}

std::optional<WhyNotAnswer> why_not(const WhyNotQuestion& question, const WhyNotSearcher& search) {
  WhyNotAnswer answer;
  answer.k = question.k;
  if (question.id == question.query_id) {
    answer.verdict = Verdict::kQueryItself;
    return answer;
  }
  const auto found = search({.k = question.k, .ef = question.ef});
  if (!found) return std::nullopt;
  answer.ef = found->ef;
  answer.fell_back = found->fell_back;
  answer.rank = rank_in(*found, question.id);
  if (!find_true_rank(question, search, answer)) return std::nullopt;
  if (answer.rank) {
    answer.verdict = Verdict::kFound;
    answer.distance = found->distances[*answer.rank - 1];
    return answer;
  }
  if (answer.verdict == Verdict::kGone) return answer;
  if (!answer.true_rank || *answer.true_rank > question.k) {
    answer.verdict = Verdict::kFarther;
    answer.tie = answer.true_rank && answer.distance == answer.kth_distance;
    return answer;
  }
  if (!find_ef(question, search, answer)) return std::nullopt;
  if (answer.found_with_ef) {
    answer.verdict = Verdict::kCutOff;
    return answer;
  }
  // As many as there may be, since others may have the same vector.
  const auto itself = search({.by_own_vector = true, .k = limits::kKMax, .ef = limits::kEfMax});
  if (!itself) return std::nullopt;
  answer.verdict = !itself->fell_back && rank_in(*itself, question.id) ? Verdict::kHardToReach : Verdict::kUnreachable;
  return answer;
}

std::string WhyNotAnswer::text(const WhyNotQuestion& question, const std::string& collection) const {
  const std::string point = "'" + question.id + "'";
  const std::string kth = std::to_string(k) + (k == 1 ? " result" : " results");
  const std::string place = true_rank ? "it is number " + std::to_string(*true_rank) + " of the nearest" +
                                            (distance ? ", at distance " + number(*distance) : "")
                                      : "";
  switch (verdict) {
    case Verdict::kFound:
      return point + " is among the results, as number " + std::to_string(*rank) + ", at distance " +
             number(*distance) +
             (fell_back ? "; the graph gave too few, so all points were compared: try `vsctl check " + collection + "`"
                        : "");
    case Verdict::kQueryItself:
      return point + " is the query itself, and a query by a point leaves that point out";
    case Verdict::kGone:
      return point + " was deleted while this was asked";
    case Verdict::kFarther:
      if (!true_rank)
        return point + " is too far: its place among the nearest is beyond " + std::to_string(limits::kKMax) +
               (kth_distance ? "; the last of " + kth + " is at distance " + number(*kth_distance) : "");
      if (tie) return point + " is as near as the last of " + kth + ", but was added later: " + place;
      return point + " is too far: " + place + ", and the last of " + kth + " is at " + number(*kth_distance);
    case Verdict::kCutOff:
      return point + " belongs to the results, but ef " + std::to_string(ef) +
             " was too small for the search to come upon it: " + place + "; ef " + std::to_string(*found_with_ef) +
             " finds it, ef " + std::to_string(not_with_ef) + " does not";
    case Verdict::kHardToReach:
      return point + " belongs to the results, but no ef up to " + std::to_string(limits::kEfMax) +
             " finds it from this query, though a search for its own vector does: " + place +
             "; `vsctl query --exact` finds it, and `vsctl rebuild " + collection + "` with a larger --m may help";
    case Verdict::kUnreachable:
      return point +
             " belongs to the results, but no search comes upon it, with no ef and not even for its own vector: " +
             place + "; no links lead to it, `vsctl check " + collection + " --repair` mends that";
  }
  return "";
}

}  // namespace vs::cli
