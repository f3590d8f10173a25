// What the fuzzers share. A fuzzer checks by VS_CHECK that a property holds, not only that nothing crashes; libFuzzer
// (or replay_main.cc) calls its LLVMFuzzerTestOneInput once for each input.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "index/status.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace vs::fuzz {

// The input as text; libFuzzer hands over a copy that is exactly as long, so that reading beyond it is found.
inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Whether `part` is a view into `whole`. An empty one may point anywhere.
inline bool lies_within(std::string_view part, std::string_view whole) {
  const std::less_equal<const char*> before;
  return part.empty() ||
         (before(whole.data(), part.data()) && before(part.data() + part.size(), whole.data() + whole.size()));
}

inline bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

// A file in memory with these bytes, for what reads files by name.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    VS_CHECK(descriptor_ >= 0);
    VS_CHECK(::write(descriptor_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    path_ = "/proc/self/fd/" + std::to_string(descriptor_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }

  const std::string& path() const { return path_; }

 private:
  int descriptor_;
  std::string path_;
};

// Numbers from the front of an input; zeros when it is used up.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : left_(data, size) {}

  bool empty() const { return left_.empty(); }
  template <class Number>
  Number take() {
    Number number = 0;
    for (size_t i = 0; i < sizeof(Number) && !left_.empty(); ++i, left_ = left_.subspan(1)) {
      number = static_cast<Number>(number | static_cast<Number>(left_[0]) << (8 * i));
    }
    return number;
  }
  std::span<const uint8_t> take_bytes(size_t count) {
    const auto bytes = left_.first(std::min(count, left_.size()));
    left_ = left_.subspan(bytes.size());
    return bytes;
  }
  std::string_view rest() const { return text_of(left_.data(), left_.size()); }

 private:
  std::span<const uint8_t> left_;
};

}  // namespace vs::fuzz
