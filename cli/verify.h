// Verifying a snapshot: what a restored copy of it holds is compared with its manifest, checked, and asked.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/context.h"

namespace vs::cli {

// Of a daemon that `daemon` is connected to and that restored the snapshot with this manifest. The result is
// {"tag","time","points","collections":[{"collection","points","expected","check","recall","queried","found"}…],
// "problems":[{"collection","kind","detail"}…]}. On an error prints it and returns nullopt; `exit` has the code.
// REQUIRES: an Interrupt lives.
std::optional<nlohmann::ordered_json> verify_restored(Context& daemon, const nlohmann::ordered_json& manifest,
                                                      Exit& exit);

}  // namespace vs::cli
