// What a search on one layer has found so far.
#pragma once

#include <algorithm>
#include <cstdint>
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
    size_ = 0;
    if (entries_.size() <= ef) entries_.resize(ef + 1);
  }
  // Whether it is among the nearest. What cannot be, is left out without asking `counts(slot)`.
  template <class Counts>
  bool offer(Neighbor candidate, Counts counts) {
    const bool full = counted_ == ef_;
    if (full && !(candidate < neighbor(entries_[size_ - 1]))) return false;
    const bool counted = counts(candidate.slot);
    const size_t index = place_of(candidate);
    if (size_ == entries_.size()) entries_.resize(2 * size_);
    Entry* const place = entries_.data() + index;
    std::copy_backward(place, entries_.data() + size_, entries_.data() + size_ + 1);
    *place = {candidate.distance, candidate.slot.value | (counted ? 0 : kUncounted)};
    ++size_;
    if (counted && full) drop_farthest();
    if (counted && !full) ++counted_;
    if (counted_ == ef_) drop_uncounted_behind();
    const bool next = index <= next_;
    next_ = std::min(next_, index);
    return next;
  }
  // The nearest that was not taken yet; kNoSlot if all were.
  Slot take() {
    while (next_ < size_ && (entries_[next_].word & kTaken) != 0) ++next_;
    if (next_ == size_) return kNoSlot;
    late_ = late_ || next_ >= limits::kEfSearchDefault;
    if (!late_) taken_early_.push_back(neighbor(entries_[next_]));
    entries_[next_].word |= kTaken;
    return neighbor(entries_[next_++]).slot;
  }
  // What take() would give now, nearly always; kNoSlot if it is not known at once.
  Slot next() const { return next_ < size_ ? neighbor(entries_[next_]).slot : kNoSlot; }
  void results(std::vector<Neighbor>& out) const {
    out.clear();
    for (const Entry& entry : std::span(entries_).first(size_)) {
      if ((entry.word & kUncounted) == 0) out.push_back(neighbor(entry));
    }
  }
  // Those that a search with the default ef would have taken, too: with a smaller ef a search ends sooner, and until then
  // it is the same.
  const std::vector<Neighbor>& taken_early() const { return taken_early_; }

 private:
  // A slot has 28 bits (geometry.h).
  static constexpr uint32_t kTaken = 1u << 31;
  static constexpr uint32_t kUncounted = 1u << 30;
  struct Entry {
    float distance;
    uint32_t word;
  };
  static Neighbor neighbor(const Entry& e) { return {e.distance, Slot{e.word & ~(kTaken | kUncounted)}}; }
  // How many are nearer. Halves without branches, which no processor could foresee: with a mask, since compilers make a branch
  // of a choice.
  size_t place_of(Neighbor candidate) const {
    const Entry* first = entries_.data();
    for (size_t count = size_; count > 0;) {
      const size_t half = (count + 1) / 2;
      first += half & (size_t{0} - static_cast<size_t>(first[half - 1].distance < candidate.distance));
      count -= half;
    }
    auto place = static_cast<size_t>(first - entries_.data());
    while (place < size_ && neighbor(entries_[place]) < candidate) ++place;  // ties
    return place;
  }
  void drop_farthest() {
    drop_uncounted_behind();
    --size_;
  }
  void drop_uncounted_behind() {
    while ((entries_[size_ - 1].word & kUncounted) != 0) --size_;
  }

  std::vector<Entry> entries_;  // the first size_ of them
  size_t size_ = 0;
  uint32_t ef_ = 0;
  uint32_t counted_ = 0;
  size_t next_ = 0;  // all before it were taken
  std::vector<Neighbor> taken_early_;
  bool late_ = false;
};

}  // namespace vs
