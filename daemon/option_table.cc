#include "daemon/option_table.h"

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <charconv>
#include <limits>

#include "daemon/text.h"

namespace vs::daemon {
namespace {

using Expected = std::optional<std::string>;

// sockaddr_un holds 108 bytes with the NUL.
constexpr size_t kSocketPathBytes = 107;
constexpr std::array<std::string_view, 6> kLogLevels = {"trace", "debug", "info", "warn", "error", "off"};

template <class Number>
Expected apply_number(Number& field, std::string_view value, Number min, Number max) {
  Number number{};
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || number < min || number > max) {
    return "an integer from " + std::to_string(min) + " to " + std::to_string(max);
  }
  field = number;
  return std::nullopt;
}

Expected apply_listen(Config& config, std::string_view value) {
  const std::string expected =
      "HOST:PORT with an IP address or localhost, such as 127.0.0.1:8700 or [::1]:8700 (port 0 picks a free one)";
  const size_t colon = value.rfind(':');
  if (colon == std::string_view::npos) return expected;
  std::string_view host = value.substr(0, colon);
  if (host == "localhost") host = "127.0.0.1";
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  boost::system::error_code error;
  const auto address = boost::asio::ip::make_address(std::string(host), error);
  if (error || address.is_v6() != bracketed) return expected;
  if (apply_number<uint16_t>(config.listen_port, value.substr(colon + 1), 0, 65535)) return expected;
  config.listen_host = host;
  return std::nullopt;
}

const OptionRule kRules[] = {
    {"data-dir", "DIR", "./vsd-data", "Directory of the database; made if it is missing, used by one vsd at a time",
     [](Config& config, std::string_view value) -> Expected {
       if (value.empty()) return "the path of a directory";
       config.data_dir = value;
       return std::nullopt;
     }},
    {"listen", "HOST:PORT", "127.0.0.1:8700",
     "Where to serve TCP; port 0 picks a free one. An address that is not loopback needs a token file", apply_listen},
    {"socket", "PATH", "", "Serve a Unix socket there, too (mode 0600, no token needed)",
     [](Config& config, std::string_view value) -> Expected {
       if (value.size() > kSocketPathBytes) return "a path of at most " + std::to_string(kSocketPathBytes) + " bytes";
       config.socket = value;
       return std::nullopt;
     }},
    {"threads", "N", "0", "Threads that serve clients, and as many that link new points; 0: one for each core",
     [](Config& config, std::string_view value) { return apply_number<unsigned>(config.threads, value, 0, 1024); }},
    {"durability", "always|interval|none", "always",
     "always: what was acknowledged is synced to disk; interval: synced once a second; none: when the system likes",
     [](Config& config, std::string_view value) -> Expected {
       const auto durability = storage::durability_from_name(value);
       if (!durability) return "always, interval or none";
       config.durability = *durability;
       return std::nullopt;
     }},
    {"token-file", "FILE", "", "File with the token that TCP clients send with AUTH; mode 0600",
     [](Config& config, std::string_view value) -> Expected {
       config.token_file = value;
       return std::nullopt;
     }},
    {"log-level", "LEVEL", "info", "trace, debug, info, warn, error or off; the log goes to stderr",
     [](Config& config, std::string_view value) -> Expected {
       if (std::find(kLogLevels.begin(), kLogLevels.end(), value) == kLogLevels.end()) {
         return "one of " + join(kLogLevels);
       }
       config.log_level = value;
       return std::nullopt;
     }},
    {"free-space-reserve-mb", "N|auto", "auto",
     "Writes are refused with no_space when less than this is free (MiB); auto: 5% of the file system, at most 256",
     [](Config& config, std::string_view value) -> Expected {
       config.free_space_reserve_mb.reset();
       if (value == "auto") return std::nullopt;
       uint64_t mb = 0;
       if (const auto expected = apply_number<uint64_t>(mb, value, 0, 1u << 30)) return "auto or " + *expected;
       config.free_space_reserve_mb = mb;
       return std::nullopt;
     }},
    {"replay-budget-s", "N", "10", "A checkpoint when the next start would have to replay about so long after a crash",
     [](Config& config, std::string_view value) {
       return apply_number<uint32_t>(config.replay_budget_s, value, 1, 86'400);
     }},
    {"checkpoint-operations", "N", "1000000", "A checkpoint at the latest after so many operations of a collection",
     [](Config& config, std::string_view value) {
       return apply_number<uint32_t>(config.checkpoint_operations, value, 1, 1'000'000'000);
     }},
    {"checkpoint-interval-s", "N", "300",
     "A checkpoint at the latest so long after the first operation since the last one",
     [](Config& config, std::string_view value) {
       return apply_number<uint32_t>(config.checkpoint_interval_s, value, 1, 86'400);
     }},
    {"compact-at-percent", "N", "25",
     "A collection is compacted when so many percent of its places are held by deleted points; 0: never by itself",
     [](Config& config, std::string_view value) {
       return apply_number<uint32_t>(config.compact_at_percent, value, 0, 100);
     }},
    {"rebuild-threads", "N", "0", "Threads that link in a rebuild or compaction; 0: half of --threads",
     [](Config& config, std::string_view value) {
       return apply_number<unsigned>(config.rebuild_threads, value, 0, 1024);
     }},
    {"hot-memory", "cache|locked", "cache",
     "What all searches read, links and codes: in the page cache, or locked in memory, for machines with less than all "
     "data",
     [](Config& config, std::string_view value) -> Expected {
       if (value != "cache" && value != "locked") return "cache or locked";
       config.lock_hot_files = value == "locked";
       return std::nullopt;
     }},
};

}  // namespace

std::span<const OptionRule> option_rules() { return kRules; }

}  // namespace vs::daemon
