// A raster of RGB pixels with text, and as PNG.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/protocol.h"

namespace vs::cli {

struct Rgb {
  uint8_t red = 0;
  uint8_t green = 0;
  uint8_t blue = 0;
  friend bool operator==(Rgb, Rgb) = default;
};

class Picture {
 public:
  // REQUIRES: both sizes at least 1.
  Picture(int width, int height, Rgb background);

  int width() const { return width_; }
  int height() const { return height_; }
  // REQUIRES: the point lies within.
  Rgb at(int x, int y) const;
  // Drawing beyond the edges is cut off.
  void set(int x, int y, Rgb colour);
  void fill(int x, int y, int width, int height, Rgb colour);
  // A frame of `thickness` pixels around the rectangle, outside of it.
  void frame(int x, int y, int width, int height, int thickness, Rgb colour);
  // A stroke with round ends and smooth edges; one without length is a disc of `thickness` pixels across. Whole numbers
  // are the corners of pixels.
  void line(double x0, double y0, double x1, double y1, double thickness, Rgb colour);
  // ASCII text with its top left corner at x, y; `size` 1 is the font as drawn, 2 is twice as large with smooth
  // diagonals.
  void text(int x, int y, std::string_view text, int size, Rgb colour);

  // The content of a PNG file.
  std::string png() const;

 private:
  int width_;
  int height_;
  std::vector<uint8_t> pixels_;  // three bytes each, row by row
};

// Height and width in pixels of text in the font, without the gap after the last character.
int text_width(std::string_view text, int size);
int text_height(int size);

}  // namespace vs::cli
