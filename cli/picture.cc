#include "cli/picture.h"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <new>

#include "cli/font.h"

namespace vs::cli {
namespace {

// Whether the pixel (x, y) of a glyph at twice its size is black. A corner of a white pixel is filled when its two
// neighbours there are black and the two opposite ones white, and the other way round: stairs become diagonals.
bool smooth_pixel(char character, int x, int y) {
  const int column = x / 2;
  const int row = y / 2;
  const int side = x % 2 == 0 ? -1 : 1;
  const int up = y % 2 == 0 ? -1 : 1;
  const bool near_column = glyph_pixel(character, column + side, row);
  const bool near_row = glyph_pixel(character, column, row + up);
  const bool far_column = glyph_pixel(character, column - side, row);
  const bool far_row = glyph_pixel(character, column, row - up);
  if (near_column == near_row && near_column != far_column && near_row != far_row) return near_column;
  return glyph_pixel(character, column, row);
}

bool text_pixel(char character, int x, int y, int size) {
  return size == 2 ? smooth_pixel(character, x, y) : glyph_pixel(character, x / size, y / size);
}

void append(png_structp png, png_bytep data, size_t bytes) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<const char*>(data), bytes);
}

void flush_nothing(png_structp) {}

// From the point (x, y) to the nearest one of the stretch.
double distance_to_line(double x, double y, double x0, double y0, double x1, double y1) {
  const double length2 = (x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0);
  const double along = length2 > 0 ? ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length2 : 0;
  const double part = std::clamp(along, 0.0, 1.0);
  return std::hypot(x - x0 - part * (x1 - x0), y - y0 - part * (y1 - y0));
}

uint8_t blend(uint8_t below, uint8_t above, double part) {
  return static_cast<uint8_t>(std::lround(below + part * (above - below)));
}

// libpng reports errors by a long jump; so this function holds no object with a destructor.
bool encode(png_structp png, png_infop info, std::string* out, const uint8_t* pixels, int width, int height) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_write_fn(png, out, append, flush_nothing);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), 8, PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (int y = 0; y < height; ++y) png_write_row(png, pixels + static_cast<size_t>(y) * static_cast<size_t>(width) * 3);
  png_write_end(png, nullptr);
  return true;
}

}  // namespace

int text_width(std::string_view text, int size) {
  return text.empty() ? 0 : (static_cast<int>(text.size()) * (kGlyphWidth + 1) - 1) * size;
}

int text_height(int size) { return kGlyphHeight * size; }

Picture::Picture(int width, int height, Rgb background)
    : width_(width), height_(height), pixels_(static_cast<size_t>(width) * static_cast<size_t>(height) * 3) {
  fill(0, 0, width, height, background);
}

Rgb Picture::at(int x, int y) const {
  const size_t index = (static_cast<size_t>(y) * static_cast<size_t>(width_) + static_cast<size_t>(x)) * 3;
  return {pixels_[index], pixels_[index + 1], pixels_[index + 2]};
}

void Picture::set(int x, int y, Rgb colour) {
  if (x < 0 || x >= width_ || y < 0 || y >= height_) return;
  const size_t index = (static_cast<size_t>(y) * static_cast<size_t>(width_) + static_cast<size_t>(x)) * 3;
  pixels_[index] = colour.red;
  pixels_[index + 1] = colour.green;
  pixels_[index + 2] = colour.blue;
}

void Picture::fill(int x, int y, int width, int height, Rgb colour) {
  for (int row = y; row < y + height; ++row)
    for (int column = x; column < x + width; ++column) set(column, row, colour);
}

void Picture::frame(int x, int y, int width, int height, int thickness, Rgb colour) {
  const int outer = width + 2 * thickness;
  fill(x - thickness, y - thickness, outer, thickness, colour);
  fill(x - thickness, y + height, outer, thickness, colour);
  fill(x - thickness, y, thickness, height, colour);
  fill(x + width, y, thickness, height, colour);
}

void Picture::line(double x0, double y0, double x1, double y1, double thickness, Rgb colour) {
  const double reach = thickness / 2 + 1;
  const auto bound = [](double value, int size) {
    return static_cast<int>(std::lround(std::clamp(value, 0.0, static_cast<double>(size))));
  };
  const int left = bound(std::min(x0, x1) - reach, width_);
  const int right = bound(std::max(x0, x1) + reach, width_);
  const int top = bound(std::min(y0, y1) - reach, height_);
  const int bottom = bound(std::max(y0, y1) + reach, height_);
  for (int y = top; y < bottom; ++y)
    for (int x = left; x < right; ++x) {
      const double distance = distance_to_line(x + 0.5, y + 0.5, x0, y0, x1, y1);
      const double covered = std::clamp(thickness / 2 + 0.5 - distance, 0.0, 1.0);
      if (covered == 0) continue;
      const Rgb below = at(x, y);
      set(x, y,
          {blend(below.red, colour.red, covered), blend(below.green, colour.green, covered),
           blend(below.blue, colour.blue, covered)});
    }
}

void Picture::text(int x, int y, std::string_view text, int size, Rgb colour) {
  for (char character : text) {
    for (int row = 0; row < kGlyphHeight * size; ++row)
      for (int column = 0; column < kGlyphWidth * size; ++column)
        if (text_pixel(character, column, row, size)) set(x + column, y + row, colour);
    x += (kGlyphWidth + 1) * size;
  }
}

std::string Picture::png() const {
  std::string out;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png != nullptr ? png_create_info_struct(png) : nullptr;
  // Nothing but memory can be missing: sizes and colour type are those of a picture.
  const bool written = info != nullptr && encode(png, info, &out, pixels_.data(), width_, height_);
  png_destroy_write_struct(&png, &info);
  if (!written) throw std::bad_alloc();
  return out;
}

}  // namespace vs::cli
