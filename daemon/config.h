// Options of vsd: flags over environment (VSD_…) over configuration file over defaults.
//
// The file is `key = value` lines; keys are the long flags without their dashes, a '#' at the start of a line or after
// white space begins a comment. All sources give text that goes through one table (option_table.cc), so that a value is
// checked by the same rule and complained about in the same words wherever it came from.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "index/status.h"
#include "storage/config.h"

namespace vs::daemon {

struct Config {
  std::string data_dir;
  std::string listen_host;  // an IPv4 or IPv6 address, without brackets
  uint16_t listen_port = 0;
  std::string socket;    // path of the Unix socket; empty: none
  unsigned threads = 0;  // 0: as many as the machine has cores
  storage::Durability durability = storage::Durability::kAlways;
  std::string token_file;
  std::string log_level;
  std::optional<uint64_t> free_space_reserve_mb;  // none: by the size of the file system
  uint32_t replay_budget_s = 0;
  uint32_t checkpoint_operations = 0;
  uint32_t checkpoint_interval_s = 0;
  uint32_t compact_at_percent = 0;
  unsigned rebuild_threads = 0;  // 0: half of `threads`
  bool lock_hot_files = false;

  std::string token;  // read from token_file; empty: no token is asked for
};

// One option as it came to be what it is, for --check-config.
struct Setting {
  std::string_view key;
  std::string value;
  std::string origin;  // "default", "vsd.conf:3", "environment VSD_LISTEN" or "flag --listen"
};

struct Startup {
  enum class Action { kServe, kCheckConfig, kCheckDirectory, kPrint };
  Action action = Action::kServe;
  std::string text;       // what to print for kPrint: --help or --version
  std::string directory;  // to check for kCheckDirectory, which reads no settings
  bool deep = false;
  std::string restore;  // for kServe: the snapshot to make the data directory of before; empty: none
  Config config;
  std::vector<Setting> settings;
};

// Gives the value of an environment variable, or nullptr.
using Environment = std::function<const char*(const char* name)>;

// `arguments` without the program's name. Errors: kBadArgument, which says where the wrong setting stands and what is
// right; the caller exits with 2.
Result<Startup> load_config(const std::vector<std::string>& arguments, const Environment& environment);

// The settings as a configuration file that would give the same, with the origin of each as a comment.
std::string describe(const std::vector<Setting>& settings);

}  // namespace vs::daemon
