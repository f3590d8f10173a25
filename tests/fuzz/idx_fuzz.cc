// Fuzzes the reader of IDX files, plain and gzip.
#include "cli/idx.h"
#include "tests/fuzz/array_check.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs;
  const auto header = cli::parse_idx_header({data, size});
  if (header.ok()) {
    VS_CHECK(cli::looks_like_idx({data, size}) && header->data_offset == 4 + 4 * header->shape.size());
    VS_CHECK(header->data_offset <= size && header->shape.size() == data[3]);
    // Every header has one encoding.
    for (size_t i = 0; i < header->shape.size(); ++i) {
      for (size_t byte = 0; byte < 4; ++byte) {
        VS_CHECK(data[4 + 4 * i + byte] == static_cast<uint8_t>(header->shape[i] >> (24 - 8 * byte)));
      }
    }
  }
  // Guessing the format may find that it is the other one, but must not fail otherwise.
  fuzz::check_plain_and_gzip(fuzz::text_of(data, size), cli::ArrayFormat::kIdx);
  fuzz::check_array(fuzz::text_of(data, size), cli::ArrayFormat::kGuess, 1100 * size);
  return 0;
}
