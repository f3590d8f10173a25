#include "cli/id_set.h"

#include <xxhash.h>

#include <algorithm>

namespace vs::cli {

bool IdSet::insert(std::string_view id) {
  if (used_ >= places_.size() / 4 * 3) grow();
  const uint64_t hash = std::max<uint64_t>(1, XXH3_64bits(id.data(), id.size()));
  for (size_t at = hash & (places_.size() - 1);; at = (at + 1) & (places_.size() - 1)) {
    if (places_[at] == hash) return false;
    if (places_[at] != 0) continue;
    places_[at] = hash;
    ++used_;
    return true;
  }
}

void IdSet::grow() {
  std::vector<uint64_t> before(std::max<size_t>(1024, 2 * places_.size()));
  before.swap(places_);
  for (const uint64_t hash : before) {
    if (hash == 0) continue;
    size_t at = hash & (places_.size() - 1);
    while (places_[at] != 0) at = (at + 1) & (places_.size() - 1);
    places_[at] = hash;
  }
}

}  // namespace vs::cli
