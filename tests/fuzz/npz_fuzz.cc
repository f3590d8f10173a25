// Fuzzes the reader of NPZ files: the directory of the ZIP archive, its members, and the arrays in them.
#include "cli/bundle.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs;
  // Deflate makes at most so much of a byte.
  constexpr uint64_t kRatioMax = 1032;
  const fuzz::MemoryFile file(fuzz::text_of(data, size));
  const auto bundle = cli::open_npz(file.path(), *cli::InputStream::open(file.path()), {});
  if (!bundle.ok()) {
    const Code code = bundle.status().code();
    VS_CHECK(code == Code::kBadRequest || code == Code::kTooLarge || code == Code::kIoError);
    VS_CHECK(bundle.status().message().find(file.path()) != std::string::npos);
    return 0;
  }
  const cli::Array& vectors = bundle->vectors;
  VS_CHECK(vectors.shape().size() >= 2);
  VS_CHECK(vectors.columns() == 0 || vectors.rows() <= kRatioMax * size / vectors.columns());
  std::vector<float> values(vectors.rows() * vectors.columns());
  VS_CHECK(vectors.read_floats(0, cli::Scale{}, values).ok());
  VS_CHECK(bundle->ids.empty() || bundle->ids.size() == vectors.rows());
  VS_CHECK(bundle->attributes.empty() || bundle->attributes.size() == vectors.rows());
  for (const auto& [name, value] : bundle->settings)
    VS_CHECK(!value.empty() && value.find_first_of(" =\"\n") == std::string::npos);
  return 0;
}
