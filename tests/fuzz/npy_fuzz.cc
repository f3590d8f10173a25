// Fuzzes the reader of NPY files, plain and gzip.
#include "cli/npy.h"
#include "tests/fuzz/array_check.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs;
  const auto header = cli::parse_npy_header({data, size});
  if (header.ok()) {
    VS_CHECK(cli::looks_like_npy({data, size}) && header->data_offset <= size && !header->shape.empty());
    VS_CHECK(std::has_single_bit(header->element.bytes) && header->element.bytes <= 8);
    VS_CHECK(header->element.kind != cli::ElementKind::kFloat || header->element.bytes >= 2);
  }
  fuzz::check_plain_and_gzip(fuzz::text_of(data, size), cli::ArrayFormat::kNpy);
  return 0;
}
