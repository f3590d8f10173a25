// A query and its neighbours as small grey images: as a grid with captions (PNG), or in the terminal.
#pragma once

#include <string>
#include <vector>

#include "cli/picture.h"

namespace vs::cli {

struct ImageShape {
  int height = 0;
  int width = 0;
};
// "HxW"; for an empty text the square with `dim` pixels. Errors: kBadArgument (no such square, or not `dim` pixels).
Result<ImageShape> image_shape(const std::string& text, size_t dim);

struct GalleryItem {
  std::vector<float> pixels;  // row by row, height * width
  std::string id;             // empty for a query that is no point
  std::string label;          // empty if unknown
  std::string distance;       // empty for the query
};

struct Gallery {
  ImageShape shape;
  std::vector<GalleryItem> items;  // the query first

  // Grey values 0..255 of an item's pixels, over the smallest and greatest value of all items.
  std::vector<uint8_t> greys(const GalleryItem& item) const;
};

// REQUIRES: every item has height * width pixels; at least one item.
Picture draw_grid(const Gallery& gallery);

}  // namespace vs::cli
