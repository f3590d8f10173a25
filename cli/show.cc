#include "cli/show.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <span>

namespace vs::cli {
namespace {

constexpr int kGap = 2;
constexpr std::string_view kShades = " .:-=+*#%@";

std::string colour_code(int layer, uint8_t grey) {
  const std::string value = std::to_string(grey);
  return "\033[" + std::to_string(layer) + ";2;" + value + ";" + value + ";" + value + "m";
}

// Two rows of an image as one line of text; an odd height leaves the last line without a lower row.
struct RowPair {
  std::span<const uint8_t> upper;
  std::span<const uint8_t> lower;  // empty if there is none
};

RowPair row_pair(const std::vector<uint8_t>& greys, const ImageShape& shape, int line) {
  const auto width = static_cast<size_t>(shape.width);
  const std::span<const uint8_t> rest = std::span(greys).subspan(static_cast<size_t>(line) * 2 * width);
  return {rest.first(width), rest.subspan(width, rest.size() > width ? width : 0)};
}

std::string half_blocks(const RowPair& rows) {
  constexpr int kForeground = 38;
  constexpr int kBackground = 48;
  std::string out;
  for (size_t column = 0; column < rows.upper.size(); ++column) {
    out += colour_code(kForeground, rows.upper[column]);
    if (!rows.lower.empty()) out += colour_code(kBackground, rows.lower[column]);
    out += "\u2580";  // upper half block
  }
  return out + "\033[0m";
}

std::string shades(const RowPair& rows) {
  std::string out;
  for (size_t column = 0; column < rows.upper.size(); ++column) {
    const size_t upper = rows.upper[column];
    const size_t grey = rows.lower.empty() ? upper : (upper + rows.lower[column]) / 2;
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
    greys.reserve(end - begin);
    for (size_t i = begin; i < end; ++i) greys.push_back(gallery.greys(gallery.items[i]));
    for (int line = 0; line < (gallery.shape.height + 1) / 2; ++line) {
      std::string text;
      for (const auto& image : greys)
        text.append((options.colour ? half_blocks : shades)(row_pair(image, gallery.shape, line)))
            .append(padding)
            .append(gap);
      trim_end(text);
      out += text + '\n';
    }
    for (size_t caption = 0; caption < 3; ++caption) {
      std::string text;
      for (size_t i = begin; i < end; ++i)
        text.append(cell(captions(gallery.items[i], i == 0)[caption], width)).append(gap);
      trim_end(text);
      if (!text.empty()) out += text + '\n';
    }
    out += '\n';
  }
  return out;
}

}  // namespace vs::cli
