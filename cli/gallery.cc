#include "cli/gallery.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace vs::cli {
namespace {

constexpr int kImageScaleMax = 4;
constexpr int kImageSideMax = 1024;  // enlarged; a larger image is enlarged less
constexpr int kMargin = 24;
constexpr int kGap = 24;
constexpr int kFrame = 2;
constexpr int kColumnsMax = 6;
constexpr int kPictureWidthMax = 8192;
constexpr int kTextSize = 2;
constexpr int kLineHeight = 24;
constexpr int kCaptionTop = 12;  // between an image and its first line
constexpr int kCaptionLines = 3;

constexpr Rgb kPaper{250, 250, 248};
constexpr Rgb kInk{28, 30, 34};
constexpr Rgb kFaint{134, 138, 146};
constexpr Rgb kLine{206, 208, 212};
constexpr Rgb kQuery{28, 98, 196};
constexpr Rgb kSame{22, 128, 70};
constexpr Rgb kOther{196, 72, 28};

// Wide enough for "distance" in small letters and a value such as 1.8914 in large ones.
constexpr int kCaptionWidth = 136;

void draw_image(Picture& picture, const Gallery& gallery, const GalleryItem& item, int x, int y, int scale) {
  const std::vector<uint8_t> greys = gallery.greys(item);
  size_t pixel = 0;
  for (int row = 0; row < gallery.shape.height; ++row)
    for (int column = 0; column < gallery.shape.width; ++column) {
      const uint8_t grey = greys[pixel++];
      picture.fill(x + column * scale, y + row * scale, scale, scale, {grey, grey, grey});
    }
}

// Cut to fit; two dots stand for what is missing.
std::string fitting(const std::string& text, int width, int size) {
  std::string out = text;
  while (text_width(out, size) > width && out.size() > 2) out = out.substr(0, out.size() - 3) + "..";
  return out;
}

// One line: a small faint name at the left, the value at the right.
void draw_line(Picture& picture, int x, int y, int width, const std::string& name, const std::string& value,
               Rgb colour) {
  if (value.empty()) return;
  constexpr int kNameSize = 1;
  const int baseline_shift = text_height(kTextSize) * 7 / 9 - text_height(kNameSize) * 7 / 9;
  picture.text(x, y + baseline_shift, name, kNameSize, kFaint);
  const int room = width - text_width(name, kNameSize) - 8;
  const int size = text_width(value, kTextSize) <= room ? kTextSize : kNameSize;
  const std::string shown = fitting(value, room, size);
  picture.text(x + width - text_width(shown, size), y + (size == kTextSize ? 0 : baseline_shift), shown, size, colour);
}

void draw_captions(Picture& picture, const GalleryItem& item, const GalleryItem& query, int x, int y, int width) {
  if (&item == &query) {
    picture.text(x, y, "query", kTextSize, kQuery);
    draw_line(picture, x, y + kLineHeight, width, "id", item.id, kInk);
    draw_line(picture, x, y + (item.id.empty() ? 1 : 2) * kLineHeight, width, "label", item.label, kInk);
    return;
  }
  Rgb label_colour = kInk;
  if (!query.label.empty()) label_colour = item.label == query.label ? kSame : kOther;
  draw_line(picture, x, y, width, "id", item.id, kInk);
  draw_line(picture, x, y + kLineHeight, width, "label", item.label, label_colour);
  draw_line(picture, x, y + (item.label.empty() ? 1 : 2) * kLineHeight, width, "distance", item.distance, kInk);
}

std::optional<int> positive(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 1) return std::nullopt;
  return number;
}

}  // namespace

Result<ImageShape> image_shape(const std::string& text, size_t dim) {
  if (text.empty()) {
    const auto side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(dim))));
    if (static_cast<size_t>(side) * static_cast<size_t>(side) == dim) return ImageShape{side, side};
    return Status{Code::kBadArgument, "vectors of " + std::to_string(dim) +
                                          " numbers are no square image; name the shape with --shape HxW"};
  }
  const size_t x = text.find('x');
  const auto height = positive(std::string_view(text).substr(0, x));
  const auto width = x == std::string::npos ? std::nullopt : positive(std::string_view(text).substr(x + 1));
  if (!height || !width)
    return Status{Code::kBadArgument, "--shape needs HEIGHTxWIDTH such as 28x28; got '" + text + "'"};
  if (static_cast<uint64_t>(*height) * static_cast<uint64_t>(*width) != dim)
    return Status{Code::kBadArgument, "--shape " + text + " does not have the vectors' " + std::to_string(dim) +
                                          " numbers; height times width must be that"};
  return ImageShape{*height, *width};
}

std::vector<uint8_t> Gallery::greys(const GalleryItem& wanted) const {
  float least = INFINITY;
  float greatest = -INFINITY;
  for (const GalleryItem& item : items)
    for (float value : item.pixels) {
      least = std::min(least, value);
      greatest = std::max(greatest, value);
    }
  std::vector<uint8_t> out;
  out.reserve(wanted.pixels.size());
  // In double: the difference of two floats may exceed what a float holds.
  const double range = static_cast<double>(greatest) - static_cast<double>(least);
  for (float value : wanted.pixels) {
    const double part = range > 0 ? (static_cast<double>(value) - static_cast<double>(least)) / range : 0;
    out.push_back(static_cast<uint8_t>(std::lround(part * 255)));
  }
  return out;
}

Picture draw_grid(const Gallery& gallery) {
  const int scale = std::clamp(kImageSideMax / std::max(gallery.shape.width, gallery.shape.height), 1, kImageScaleMax);
  const int image_width = gallery.shape.width * scale;
  const int image_height = gallery.shape.height * scale;
  const int cell_width = std::max(image_width, kCaptionWidth);
  const int cell_height = image_height + kCaptionTop + kCaptionLines * kLineHeight;
  const int count = static_cast<int>(gallery.items.size());
  const int columns = std::min(count, std::clamp(kPictureWidthMax / (cell_width + kGap), 1, kColumnsMax));
  const int rows = (count + columns - 1) / columns;
  Picture picture(2 * kMargin + columns * cell_width + (columns - 1) * kGap,
                  2 * kMargin + rows * cell_height + (rows - 1) * kGap - (kLineHeight - text_height(kTextSize)),
                  kPaper);
  for (int i = 0; i < count; ++i) {
    const GalleryItem& item = gallery.items[static_cast<size_t>(i)];
    const int x = kMargin + i % columns * (cell_width + kGap);
    const int y = kMargin + i / columns * (cell_height + kGap);
    const int image_x = x + (cell_width - image_width) / 2;
    picture.frame(image_x, y, image_width, image_height, i == 0 ? 2 * kFrame : 1, i == 0 ? kQuery : kLine);
    draw_image(picture, gallery, item, image_x, y, scale);
    draw_captions(picture, item, gallery.items.front(), x, y + image_height + kCaptionTop, cell_width);
  }
  return picture;
}

}  // namespace vs::cli
