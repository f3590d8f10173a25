#include "cli/show.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "cli/table.h"

namespace vs::cli {
namespace {

constexpr int kGap = 2;
constexpr std::string_view kShades = " .:-=+*#%@";

bool is_set(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

std::string colour_code(int layer, Rgb colour) {
  return "\033[" + std::to_string(layer) + ";2;" + std::to_string(colour.red) + ";" + std::to_string(colour.green) +
         ";" + std::to_string(colour.blue) + "m";
}

// Brightness as it is seen (Rec. 601).
int brightness(Rgb colour) { return (299 * colour.red + 587 * colour.green + 114 * colour.blue + 500) / 1000; }

// The mean of the pixels of a square that lie within.
Rgb mean(const Picture& picture, int left, int top, int side) {
  std::array<int64_t, 3> sums{};
  int64_t count = 0;
  for (int y = top; y < std::min(top + side, picture.height()); ++y)
    for (int x = left; x < std::min(left + side, picture.width()); ++x, ++count) {
      const Rgb pixel = picture.at(x, y);
      sums[0] += pixel.red;
      sums[1] += pixel.green;
      sums[2] += pixel.blue;
    }
  const auto part = [count](int64_t sum) { return static_cast<uint8_t>((sum + count / 2) / count); };
  return {part(sums[0]), part(sums[1]), part(sums[2])};
}

// So many times smaller that it is at most `width` wide.
Picture shrunk(const Picture& picture, int width) {
  const int side = (picture.width() + width - 1) / width;
  Picture out((picture.width() + side - 1) / side, (picture.height() + side - 1) / side, {});
  for (int y = 0; y < out.height(); ++y)
    for (int x = 0; x < out.width(); ++x) out.set(x, y, mean(picture, x * side, y * side, side));
  return out;
}

// Two rows of an image are one line of text; an odd height leaves the last line without a lower row.
std::optional<Rgb> lower_pixel(const Picture& image, int x, int line) {
  if (2 * line + 1 == image.height()) return std::nullopt;
  return image.at(x, 2 * line + 1);
}

std::string half_blocks(const Picture& image, int line) {
  constexpr int kForeground = 38;
  constexpr int kBackground = 48;
  std::string out;
  for (int x = 0; x < image.width(); ++x) {
    out += colour_code(kForeground, image.at(x, 2 * line));
    if (const auto lower = lower_pixel(image, x, line)) out += colour_code(kBackground, *lower);
    out += "\u2580";  // upper half block
  }
  return out + "\033[0m";
}

std::string shades(const Picture& image, int line) {
  std::string out;
  for (int x = 0; x < image.width(); ++x) {
    const int upper = brightness(image.at(x, 2 * line));
    const auto lower = lower_pixel(image, x, line);
    const auto grey = static_cast<size_t>(lower ? (upper + brightness(*lower)) / 2 : upper);
    out += kShades[grey * kShades.size() / 256];
  }
  return out;
}

// Padded or cut to `width` columns.
std::string cell(const std::string& caption, int width) {
  std::string text = ascii(caption);
  text.resize(static_cast<size_t>(width), ' ');
  return text;
}

std::array<std::string, 3> captions(const GalleryItem& item, bool query) {
  const std::string label = item.label.empty() ? "" : "label " + item.label;
  if (query) return {"query" + (item.name().empty() ? "" : " " + item.name()), label, ""};
  return {"id " + item.id, label, "distance " + item.distance};
}

void trim_end(std::string& text) { text.erase(text.find_last_not_of(' ') + 1); }

// Cells side by side, as many lines of cells as are needed.
class Screen {
 public:
  Screen(const ImageShape& shape, const ValueRange& range, const ShowOptions& options)
      : shape_(shape), range_(range), options_(options) {
    image_width_ = shrink(Picture(shape.width, shape.height, {})).width();
    cell_width_ = std::max(image_width_, kCaptionWidth);
    across_ = static_cast<size_t>(std::max(1, (options.columns + kGap) / (cell_width_ + kGap)));
  }

  void draw(const GalleryQuery& query) {
    std::vector<const GalleryItem*> items = {&query.item};
    for (const GalleryItem& neighbour : query.neighbours) items.push_back(&neighbour);
    for (size_t begin = 0; begin < items.size(); begin += across_)
      draw(std::span(items).subspan(begin, std::min(across_, items.size() - begin)), query.item);
  }

  std::string take() { return std::move(out_); }

 private:
  static constexpr int kCaptionWidth = 15;  // "distance 1.8914"

  Picture shrink(const Picture& image) const { return shrunk(image, std::max(options_.columns, kCaptionWidth)); }

  void draw(std::span<const GalleryItem* const> items, const GalleryItem& query) {
    const std::string gap(kGap, ' ');
    const std::string padding(static_cast<size_t>(cell_width_ - image_width_), ' ');
    std::vector<Picture> images;
    images.reserve(items.size());
    for (const GalleryItem* item : items) images.push_back(shrink(draw_vector(item->values, shape_, range_)));
    for (int line = 0; line < (images.front().height() + 1) / 2; ++line) {
      std::string text;
      for (const Picture& image : images)
        text.append((options_.colour ? half_blocks : shades)(image, line)).append(padding).append(gap);
      add_line(std::move(text));
    }
    for (size_t caption = 0; caption < 3; ++caption) {
      std::string text;
      for (const GalleryItem* item : items)
        text.append(cell(captions(*item, item == &query)[caption], cell_width_)).append(gap);
      trim_end(text);
      if (!text.empty()) add_line(std::move(text));
    }
    out_ += '\n';
  }

  void add_line(std::string text) {
    trim_end(text);
    out_ += text + '\n';
  }

  const ImageShape& shape_;
  const ValueRange& range_;
  const ShowOptions& options_;
  int image_width_ = 0;
  int cell_width_ = 0;
  size_t across_ = 1;
  std::string out_;
};

}  // namespace

ShowOptions show_options(int file) {
  ShowOptions options;
  const char* const terminal = std::getenv("TERM");
  const bool dumb = terminal == nullptr || std::string_view(terminal) == "dumb";
  options.colour = ::isatty(file) == 1 && !dumb && !is_set("NO_COLOR");
  winsize size{};
  if (::ioctl(file, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) options.columns = size.ws_col;
  return options;
}

std::string show_gallery(const Gallery& gallery, const ShowOptions& options) {
  const ValueRange range = gallery.range();
  Screen screen(gallery.shape, range, options);
  for (const GalleryQuery& query : gallery.queries) screen.draw(query);
  return screen.take();
}

}  // namespace vs::cli
