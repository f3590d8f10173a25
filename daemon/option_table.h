// The options that have a value, each with its rule. Private to the configuration.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "daemon/config.h"

namespace vs::daemon {

struct OptionRule {
  std::string_view key;  // "data-dir" stands for --data-dir, VSD_DATA_DIR and the file's data-dir
  std::string_view value_name;
  std::string_view default_value;
  std::string_view help;
  // Sets the field, or returns what was expected: "a port from 0 to 65535".
  std::optional<std::string> (*apply)(Config& config, std::string_view value);
};

std::span<const OptionRule> option_rules();

}  // namespace vs::daemon
