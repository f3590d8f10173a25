// The log: spdlog to stderr, one `event key=value …` line each. What clients sent goes through excerpt() first.
#pragma once

#include <string_view>

namespace vs::daemon {

// With time and level; under systemd (JOURNAL_STREAM) with the journal's priority prefix instead, as the journal has a
// clock of its own. REQUIRES: `level` is one of those that the configuration takes.
void set_up_log(std::string_view level);

// Whether stderr is the journal's stream, so that lines begin with a priority instead of time and level.
bool logs_to_journal();

}  // namespace vs::daemon
