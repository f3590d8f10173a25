// What a search did, for people: the object `explain` of a SEARCH reply.
#pragma once

#include <nlohmann/json.hpp>

#include "cli/table.h"

namespace vs::cli {

// Two columns: how it searched, where it began, the nodes it went through on each layer from the top down, the
// distances it computed, and its time. What the object does not have is left out.
Table explain_table(const nlohmann::ordered_json& explain);

}  // namespace vs::cli
