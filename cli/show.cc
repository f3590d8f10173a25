#include "cli/show.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace vs::cli {
namespace {

constexpr int kGap = 2;
constexpr std::string_view kShades = " .:-=+*#%@";

std::string colour_code(int layer, uint8_t grey) {
  const std::string value = std::to_string(grey);
  return "\033[" + std::to_string(layer) + ";2;" + value + ";" + value + ";" + value + "m";
}

// Rows 2 * line and 2 * line + 1 of an image as one line of text.
std::string half_blocks(const std::vector<uint8_t>& greys, const ImageShape& shape, int line) {
  constexpr int kForeground = 38;
  constexpr int kBackground = 48;
  std::string out;
  for (int column = 0; column < shape.width; ++column) {
    const auto upper = static_cast<size_t>(2 * line * shape.width + column);
    const size_t lower = upper + static_cast<size_t>(shape.width);
    out += colour_code(kForeground, greys[upper]);
    if (2 * line + 1 < shape.height) out += colour_code(kBackground, greys[lower]);
    out += "\u2580";  // upper half block
  }
  return out + "\033[0m";
}

std::string shades(const std::vector<uint8_t>& greys, const ImageShape& shape, int line) {
  std::string out;
  for (int column = 0; column < shape.width; ++column) {
    const auto upper = static_cast<size_t>(2 * line * shape.width + column);
    const size_t lower = 2 * line + 1 < shape.height ? upper + static_cast<size_t>(shape.width) : upper;
    const size_t grey = (static_cast<size_t>(greys[upper]) + greys[lower]) / 2;
    out += kShades[grey * kShades.size() / 256];
  }
  return out;
}

// Padded or cut to `width` characters; bytes that are not ASCII are replaced, as their width is not known.
std::string cell(std::string text, int width) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  text.resize(static_cast<size_t>(width), ' ');
  return text;
}

std::vector<std::string> captions(const GalleryItem& item, bool query) {
  std::vector<std::string> out;
  out.push_back(query ? "query" + (item.id.empty() ? "" : " " + item.id) : "id " + item.id);
  out.push_back(item.label.empty() ? "" : "label " + item.label);
  out.push_back(item.distance.empty() ? "" : "distance " + item.distance);
  return out;
}

void trim_end(std::string& text) { text.erase(text.find_last_not_of(' ') + 1); }

}  // namespace

ShowOptions show_options(int file) {
  ShowOptions options;
  options.colour = ::isatty(file) == 1 && std::getenv("NO_COLOR") == nullptr;
  winsize size{};
  if (::ioctl(file, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) options.columns = size.ws_col;
  return options;
}

std::string show_gallery(const Gallery& gallery, const ShowOptions& options) {
  constexpr int kCaptionWidth = 15;  // "distance 1.8914"
  const int width = std::max(gallery.shape.width, kCaptionWidth);
  const auto across = static_cast<size_t>(std::max(1, (options.columns + kGap) / (width + kGap)));
  const std::string gap(kGap, ' ');
  const std::string padding(static_cast<size_t>(width - gallery.shape.width), ' ');
  std::string out;
  for (size_t begin = 0; begin < gallery.items.size(); begin += across) {
    const size_t end = std::min(begin + across, gallery.items.size());
    std::vector<std::vector<uint8_t>> greys;
    for (size_t i = begin; i < end; ++i) greys.push_back(gallery.greys(gallery.items[i]));
    for (int line = 0; line < (gallery.shape.height + 1) / 2; ++line) {
      std::string text;
      for (const auto& image : greys)
        text += (options.colour ? half_blocks : shades)(image, gallery.shape, line) + padding + gap;
      trim_end(text);
      out += text + '\n';
    }
    for (size_t caption = 0; caption < 3; ++caption) {
      std::string text;
      for (size_t i = begin; i < end; ++i) text += cell(captions(gallery.items[i], i == 0)[caption], width) + gap;
      trim_end(text);
      if (!text.empty()) out += text + '\n';
    }
    out += '\n';
  }
  return out;
}

}  // namespace vs::cli
