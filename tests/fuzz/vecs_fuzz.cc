// Fuzzes the reader of fvecs, bvecs and ivecs files, plain and gzip. The first byte says which of them it is.
#include "cli/vecs.h"
#include "tests/fuzz/array_check.h"

namespace vs::fuzz {
namespace {

struct Kind {
  cli::ArrayFormat format;
  cli::Element element;
};
constexpr Kind kKinds[] = {{cli::ArrayFormat::kFvecs, {cli::ElementKind::kFloat, 4}},
                           {cli::ArrayFormat::kBvecs, {cli::ElementKind::kUnsigned, 1}},
                           {cli::ArrayFormat::kIvecs, {cli::ElementKind::kSigned, 4}}};

// A file is refused when it is opened or when its rows are read, plain or packed.
std::vector<uint32_t> read_all(std::string_view bytes, cli::ArrayFormat format) {
  const MemoryFile file(bytes);
  const auto array = cli::Array::open(file.path(), format);
  if (!array.ok()) {
    VS_CHECK(array.status().code() == Code::kBadRequest);
    return {};
  }
  std::vector<float> values(array->rows() * array->columns());
  const Status status = array->read_floats(0, cli::Scale{1, 255}, values);
  VS_CHECK(status.ok() || status.code() == Code::kBadRequest);
  std::vector<uint32_t> bits;
  if (status.ok())
    for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

}  // namespace
}  // namespace vs::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs;
  if (size == 0) return 0;
  const fuzz::Kind& kind = fuzz::kKinds[data[0] % std::size(fuzz::kKinds)];
  const std::string_view bytes = fuzz::text_of(data + 1, size - 1);
  const auto header = cli::parse_vecs_header({data + 1, size - 1}, kind.element, size - 1);
  if (header.ok()) {
    VS_CHECK(header->shape.size() == 2 && header->shape[1] >= 1 && header->shape[1] <= limits::kDimMax);
    VS_CHECK(header->shape[0] * (cli::kVecsPrefixBytes + header->shape[1] * kind.element.bytes) == size - 1);
  }
  const auto plain = fuzz::read_all(bytes, kind.format);
  if (!bytes.starts_with("\x1f\x8b")) {
    VS_CHECK(plain.empty() || (header.ok() && plain.size() == header->shape[0] * header->shape[1]));
    VS_CHECK(plain == fuzz::read_all(fuzz::gzip(bytes), kind.format));
  }
  return 0;
}
