// Which ids have been seen, in 8 to 16 bytes each, however long they are.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace vs::cli {

// Keeps 64 bits of each id. Among 100 million different ids two share them with a probability below 1 in 3,000; such a
// one is reported as seen.
class IdSet {
 public:
  // False if it was there.
  bool insert(std::string_view id);

 private:
  void grow();

  std::vector<uint64_t> places_;  // a power of two, 0 for a free one; searched linearly
  size_t used_ = 0;
};

}  // namespace vs::cli
