// Fuzzes meta.json of the folders of VectorSearch-with-HNSW.
#include "cli/seed.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs;
  const auto meta = cli::parse_seed_meta(fuzz::text_of(data, size));
  if (!meta.ok()) {
    VS_CHECK(meta.status().code() == Code::kBadRequest && !fuzz::has_control_characters(meta.status().message()));
    return 0;
  }
  VS_CHECK(meta->settings.front().first == "metric");
  VS_CHECK(meta->settings.front().second == "l2" || meta->settings.front().second == "cosine");
  // They become words of a request.
  for (size_t i = 1; i < meta->settings.size(); ++i) {
    const std::string& value = meta->settings[i].second;
    VS_CHECK(!value.empty() && value.find_first_not_of("0123456789.e+-") == std::string::npos);
  }
  return 0;
}
