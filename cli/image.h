// Vectors as images: which shape they have, and how their numbers become colours.
#pragma once

#include <limits>
#include <span>
#include <string>

#include "cli/picture.h"

namespace vs::cli {

// How the numbers of an image follow each other, always row by row: one a pixel; red, green and blue of each pixel, as
// in files and in NumPy's arrays of images; or the whole red image, then the green and the blue one.
enum class Channels : uint8_t { kGrey, kRgbLast, kRgbFirst };

struct ImageShape {
  int height = 0;
  int width = 0;
  Channels channels = Channels::kGrey;

  size_t pixels() const { return static_cast<size_t>(height) * static_cast<size_t>(width); }
  size_t numbers() const { return pixels() * (channels == Channels::kGrey ? 1 : 3); }
};
// "HxW", "HxWx3" (kRgbLast) or "3xHxW" (kRgbFirst). For an empty text the square of `dim` pixels, in grey or, when a third
// of dim is a square number, kRgbLast; no number is both. Errors: kBadArgument (no such square, or another number of numbers).
Result<ImageShape> image_shape(const std::string& text, size_t dim);

// What is drawn black and white: 0 and the greatest value of all, or the least value if any is below 0. So pixels look
// as they are whether they go to 1 or to 255, and centred ones use the whole range.
struct ValueRange {
  double black = 0;
  double white = -std::numeric_limits<double>::infinity();

  void include(std::span<const float> values);
  uint8_t brightness(float value) const;  // 0..255
};

// REQUIRES: shape.numbers() values, at least one, all of them included in `range`.
Picture draw_vector(std::span<const float> values, const ImageShape& shape, const ValueRange& range);

}  // namespace vs::cli
