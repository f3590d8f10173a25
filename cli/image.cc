#include "cli/image.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

namespace vs::cli {
namespace {

// The side of a square of that area.
std::optional<int> square_side(size_t area) {
  const auto side = static_cast<size_t>(std::lround(std::sqrt(static_cast<double>(area))));
  if (side == 0 || side * side != area) return std::nullopt;
  return static_cast<int>(side);
}

// The sides that stand between the letters x; empty if a part is no whole number from 1 to kDimMax.
std::vector<int> parse_sides(std::string_view text) {
  std::vector<int> sides;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('x', begin), text.size());
    const char* const last = text.data() + end;
    int side = 0;
    const auto [stop, error] = std::from_chars(text.data() + begin, last, side);
    if (error != std::errc() || stop != last || side < 1 || side > static_cast<int>(limits::kDimMax)) return {};
    sides.push_back(side);
    begin = end + 1;
  }
  return sides;
}

std::optional<ImageShape> shape_of(const std::vector<int>& sides) {
  if (sides.size() == 2) return ImageShape{sides[0], sides[1]};
  if (sides.size() != 3) return std::nullopt;
  if (sides[2] == 3) return ImageShape{sides[0], sides[1], Channels::kRgbLast};
  if (sides[0] == 3) return ImageShape{sides[1], sides[2], Channels::kRgbFirst};
  return std::nullopt;
}

}  // namespace

Result<ImageShape> image_shape(const std::string& text, size_t dim) {
  if (text.empty()) {
    if (const auto side = square_side(dim)) return ImageShape{*side, *side};
    if (const auto side = dim % 3 == 0 ? square_side(dim / 3) : std::nullopt)
      return ImageShape{*side, *side, Channels::kRgbLast};
    return Status{Code::kBadArgument, "vectors of " + std::to_string(dim) +
                                          " numbers are no square image, neither grey nor of three colours; name the "
                                          "shape with --shape HxW, HxWx3 or 3xHxW"};
  }
  const auto shape = shape_of(parse_sides(text));
  if (!shape)
    return Status{Code::kBadArgument,
                  "--shape needs HEIGHTxWIDTH such as 28x28, for colours 32x32x3 or, one colour after the other, "
                  "3x32x32; got '" +
                      text + "'"};
  if (shape->numbers() == dim) return *shape;
  std::string message = "--shape " + text + " has " + std::to_string(shape->numbers()) +
                        " numbers, but the vectors have " + std::to_string(dim);
  if (shape->numbers() * 3 == dim) message += "; are they colours? Then it is " + text + "x3 or 3x" + text;
  return Status{Code::kBadArgument, message};
}

void ValueRange::include(std::span<const float> values) {
  for (const float value : values) {
    black = std::min(black, static_cast<double>(value));
    white = std::max(white, static_cast<double>(value));
  }
}

// In double: the difference of two floats may exceed what a float holds.
uint8_t ValueRange::brightness(float value) const {
  const double range = white - black;
  const double part = range > 0 ? (static_cast<double>(value) - black) / range : 0;
  return static_cast<uint8_t>(std::lround(part * 255));
}

Picture draw_vector(std::span<const float> values, const ImageShape& shape, const ValueRange& range) {
  Picture picture(shape.width, shape.height, {});
  const size_t pixel_step = shape.channels == Channels::kRgbLast ? 3 : 1;
  const size_t channel_step = shape.channels == Channels::kGrey       ? 0
                              : shape.channels == Channels::kRgbFirst ? shape.pixels()
                                                                      : 1;
  size_t at = 0;
  for (int y = 0; y < shape.height; ++y)
    for (int x = 0; x < shape.width; ++x, at += pixel_step)
      picture.set(x, y,
                  {range.brightness(values[at]), range.brightness(values[at + channel_step]),
                   range.brightness(values[at + 2 * channel_step])});
  return picture;
}

}  // namespace vs::cli
