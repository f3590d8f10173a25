// Fuzzes how vsd cuts the bytes of a connection into lines: however they come in pieces, the lines are the same.
#include <cstring>

#include "daemon/line_buffer.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs;
  fuzz::Input input(data, size);
  daemon::LineBuffer buffer;
  // What came in and was not consumed.
  std::string model;
  while (!input.empty()) {
    const auto step = input.take<uint8_t>();
    if (step % 4 == 0) {
      const std::span<char> room = buffer.prepare();
      VS_CHECK(!room.empty());
      // Now and then a piece that takes all the room, as a client that sends fast fills it.
      const bool fill = step == 0;
      const auto bytes = input.take_bytes(std::min<size_t>(step / 4, room.size()));
      std::string piece(fuzz::text_of(bytes.data(), bytes.size()));
      if (fill && model.size() < (400u << 10)) piece.assign(room.size(), 'x');
      std::memcpy(room.data(), piece.data(), piece.size());
      buffer.commit(piece.size());
      model += piece;
    } else if (step == 0xFF) {
      buffer.clear();
      model.clear();
    } else {
      const auto line = buffer.peek();
      const size_t end = model.find('\n');
      VS_CHECK(line.has_value() == (end != std::string::npos));
      if (line) {
        VS_CHECK(*line == std::string_view(model).substr(0, end) && buffer.peek() == line);
        if (step % 4 == 1) {
          buffer.consume();
          model.erase(0, end + 1);
        }
      }
    }
    VS_CHECK(buffer.size() == model.size());
  }
  return 0;
}
