// Bytes of a file, a pipe or the standard input ("-"), read once from the beginning to the end and unpacked on the way if
// they are gzip. What a text format is read from: only a piece of it is ever in memory.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/protocol.h"

namespace vs::cli {

// For one thread at a time.
class InputStream {
 public:
  // Gzip is known by its first two bytes, not by the name. A pipe that nobody has opened for writing is waited for only a
  // moment. Errors: kIoError.
  static Result<InputStream> open(const std::string& path);

  // Everything that is buffered, at least `bytes` bytes unless the stream ends before; takes nothing. The view is valid
  // until the next call of peek() or line(). Errors: kBadRequest (damaged gzip), kIoError.
  Result<std::string_view> peek(size_t bytes);
  // REQUIRES: the last peek() showed that many.
  void take(size_t bytes);
  // The next line without its LF or CR LF; false at the end. An LF at the very end begins no further line. Errors: as
  // peek(), and kTooLarge for a line of more than `bytes_max`.
  Result<bool> line(std::string_view& out, size_t bytes_max);

  // A file on a disk, which can be opened again; not a pipe or "-".
  bool regular() const;
  // Whether it is gzip. REQUIRES: peek() was called.
  bool packed() const;
  // How much of a regular file is read, from 0 to 1.
  std::optional<double> part() const;

 private:
  struct State;
  explicit InputStream(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

// What errno says. The code is kIoError.
Status errno_status(const char* what);

}  // namespace vs::cli
