// The factor that file values are multiplied with: "1/255", "0.5", "1e-3".
#pragma once

#include <string_view>

#include "daemon/protocol.h"

namespace vs::cli {

// Kept as a fraction, so that 1/255 gives exactly the floats that a division by 255 gives.
struct Scale {
  double numerator = 1;
  double denominator = 1;

  float apply(double value) const { return static_cast<float>(value * numerator / denominator); }
};

// Errors: kBadArgument.
Result<Scale> parse_scale(std::string_view text);

}  // namespace vs::cli
