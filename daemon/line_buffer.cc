#include "daemon/line_buffer.h"

#include <algorithm>
#include <cstring>

namespace vs::daemon {
namespace {

constexpr size_t kReadBytesMin = 16u << 10;
// An idle client does not keep the memory that one long line took.
constexpr size_t kKeptBytes = 256u << 10;

}  // namespace

std::span<char> LineBuffer::prepare() {
  if (begin_ > 0) {
    std::copy(bytes_.begin() + static_cast<std::ptrdiff_t>(begin_), bytes_.begin() + static_cast<std::ptrdiff_t>(end_),
              bytes_.begin());
    end_ -= begin_;
    scanned_ -= begin_;
    begin_ = 0;
  }
  if (end_ == 0 && bytes_.size() > kKeptBytes) {
    bytes_.resize(kReadBytesMin);
    bytes_.shrink_to_fit();
  }
  if (bytes_.size() - end_ < kReadBytesMin) bytes_.resize(std::max(2 * bytes_.size(), end_ + kReadBytesMin));
  return {bytes_.data() + end_, bytes_.size() - end_};
}

std::optional<std::string_view> LineBuffer::peek() {
  const void* const found = end_ == scanned_ ? nullptr : std::memchr(bytes_.data() + scanned_, '\n', end_ - scanned_);
  if (found == nullptr) {
    scanned_ = end_;
    return std::nullopt;
  }
  scanned_ = static_cast<size_t>(static_cast<const char*>(found) - bytes_.data());
  return std::string_view(bytes_.data() + begin_, scanned_ - begin_);
}

}  // namespace vs::daemon
