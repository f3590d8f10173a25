// What a search on one layer has found so far.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "index/graph.h"
#include "index/limits.h"

namespace vs {

// The nearest slots that a search has come upon, nearest first: what was a frontier and a result in the paper is one
// sorted array here. It holds `ef` that count (live ones, or all) and, between them, those that do not: when there are
// more, the farthest go.
class Pool {
 public:
  void start(uint32_t ef) {
    ef_ = ef;
    counted_ = 0;
    next_ = 0;
    late_ = false;
    taken_early_.clear();
    std::fill_n(distances_.begin(), size_, kNone);
    size_ = 0;
    if (words_.size() <= ef) make_room(ef + 1);
  }
  // What is farther has no place among the nearest.
  float bound() const { return counted_ == ef_ ? distances_[size_ - 1] : kNone; }
  // Whether it is the next to take. What cannot be among the nearest is left out without asking `counts(slot)`.
  template <class Counts>
  bool offer(Neighbor candidate, Counts counts) {
    const bool full = counted_ == ef_;
    if (full && !(candidate < neighbor(size_ - 1))) return false;
    const bool counted = counts(candidate.slot);
    const size_t place = place_of(candidate);
    if (size_ == words_.size()) make_room(2 * size_);
    std::memmove(&distances_[place + 1], &distances_[place], (size_ - place) * sizeof(float));
    std::memmove(&words_[place + 1], &words_[place], (size_ - place) * sizeof(uint32_t));
    distances_[place] = candidate.distance;
    words_[place] = candidate.slot.value | (counted ? 0 : kUncounted);
    ++size_;
    if (counted && full) drop_farthest();
    if (counted && !full) ++counted_;
    if (counted_ == ef_) drop_uncounted_behind();
    const bool next = place <= next_;
    next_ = std::min(next_, place);
    return next;
  }
  // The nearest that was not taken yet; kNoSlot if all were.
  Slot take() {
    while (next_ < size_ && (words_[next_] & kTaken) != 0) ++next_;
    if (next_ == size_) return kNoSlot;
    late_ = late_ || next_ >= limits::kEfSearchDefault;
    if (!late_) taken_early_.push_back(neighbor(next_));
    words_[next_] |= kTaken;
    return slot(next_++);
  }
  // What take() would give now, nearly always; kNoSlot if it is not known at once.
  Slot next() const { return next_ < size_ ? slot(next_) : kNoSlot; }
  void results(std::vector<Neighbor>& out) const {
    out.clear();
    for (size_t i = 0; i < size_; ++i) {
      if ((words_[i] & kUncounted) == 0) out.push_back(neighbor(i));
    }
  }
  // Those that a search with the default ef would have taken, too: with a smaller ef a search ends sooner, and until then
  // it is the same.
  const std::vector<Neighbor>& taken_early() const { return taken_early_; }

 private:
  // A slot has 28 bits (geometry.h).
  static constexpr uint32_t kTaken = 1u << 31;
  static constexpr uint32_t kUncounted = 1u << 30;
  static constexpr float kNone = std::numeric_limits<float>::infinity();
  static constexpr size_t kBlock = 16;

  Slot slot(size_t i) const { return Slot{words_[i] & ~(kTaken | kUncounted)}; }
  Neighbor neighbor(size_t i) const { return {distances_[i], slot(i)}; }
  void make_room(size_t count) {
    words_.resize(count);
    distances_.resize(count + kBlock, kNone);
  }
  // How many are nearer. Halving waits for each comparison before the next, and a branch that no processor could foresee costs as
  // much; so it only finds the last few blocks, in which all are compared at once.
  size_t place_of(Neighbor candidate) const {
    size_t first = 0;
    for (size_t count = size_; count > 4 * kBlock;) {
      const size_t half = count / 2;
      first += distances_[first + half - 1] < candidate.distance ? half : 0;
      count -= half;
    }
    const float* const from = &distances_[first];
    const size_t last = (std::min(size_ - first, 4 * kBlock) + kBlock - 1) / kBlock * kBlock;
    uint32_t nearer = 0;
    for (size_t i = 0; i < last; ++i) nearer += from[i] < candidate.distance ? 1 : 0;
    size_t place = first + nearer;
    while (place < size_ && neighbor(place) < candidate) ++place;  // ties
    return place;
  }
  void drop_farthest() {
    drop_uncounted_behind();
    drop();
  }
  void drop_uncounted_behind() {
    while ((words_[size_ - 1] & kUncounted) != 0) drop();
  }
  void drop() { distances_[--size_] = kNone; }

  // The first size_ of both; further distances are kNone, so that whole blocks can be compared.
  std::vector<float> distances_;
  std::vector<uint32_t> words_;
  size_t size_ = 0;
  uint32_t ef_ = 0;
  uint32_t counted_ = 0;
  size_t next_ = 0;  // all before it were taken
  std::vector<Neighbor> taken_early_;
  bool late_ = false;
};

}  // namespace vs
