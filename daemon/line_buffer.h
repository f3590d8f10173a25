// Bytes as they come from a socket, cut into lines.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace vs::daemon {

class LineBuffer {
 public:
  // Room for the next read, never empty. Invalidates lines.
  std::span<char> prepare();
  // REQUIRES: `size` bytes of what prepare() gave were written.
  void commit(size_t size) { end_ += size; }

  // The next line without its LF; nullopt if no LF has come yet. The same one until it is consumed.
  std::optional<std::string_view> peek();
  // REQUIRES: peek() gave a line.
  void consume() { begin_ = scanned_ + 1, scanned_ = begin_; }
  void clear() { begin_ = end_ = scanned_ = 0; }

  // Bytes that are not consumed.
  size_t size() const { return end_ - begin_; }

 private:
  std::vector<char> bytes_;
  size_t begin_ = 0;    // of the next line
  size_t scanned_ = 0;  // no LF between begin_ and here
  size_t end_ = 0;
};

}  // namespace vs::daemon
