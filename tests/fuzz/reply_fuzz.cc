// Fuzzes what vsctl reads of a reply line.
#include "daemon/protocol.h"
#include "daemon/text.h"
#include "tests/fuzz/fuzz.h"

namespace vs::fuzz {
namespace {

void check_reply(const protocol::Reply& reply, std::string_view line) {
  VS_CHECK(lies_within(reply.json, line));
  if (reply.status.ok()) {
    VS_CHECK(line.starts_with("OK"));
    VS_CHECK(reply.json.empty() || (reply.json.front() == '{' && reply.json.back() == '}'));
    const std::string again = reply.json.empty() ? "OK" : "OK " + std::string(reply.json);
    const auto parsed = protocol::parse_reply(again);
    VS_CHECK(parsed.ok() && parsed->status.ok() && parsed->json == reply.json);
    return;
  }
  VS_CHECK(line.starts_with("ERR ") && reply.json.empty());
  VS_CHECK(reply.status.message().size() < line.size());
  // Written again it is a fixed point: a proxy that passes errors on would not change them a second time.
  const std::string again = protocol::error_line(reply.status);
  VS_CHECK(!has_control_characters(again) && !find_bad_utf8(again));
  const auto parsed = protocol::parse_reply(again);
  VS_CHECK(parsed.ok() && parsed->status.code() == reply.status.code());
  VS_CHECK(protocol::error_line(parsed->status) == again);
}

}  // namespace
}  // namespace vs::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vs::fuzz;
  const std::string_view text = text_of(data, size);
  const std::string_view line = text.substr(0, text.find('\n'));
  const auto reply = vs::protocol::parse_reply(line);
  if (reply.ok()) {
    check_reply(*reply, line);
  } else {
    VS_CHECK(reply.status().code() == vs::Code::kBadRequest);
    VS_CHECK(!has_control_characters(reply.status().message()) && reply.status().message().size() < 300);
  }
  return 0;
}
