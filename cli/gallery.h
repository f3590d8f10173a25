// Queries and their neighbours as small images: on a sheet with captions (PNG), on a page (HTML), or in the terminal
// (show.h).
#pragma once

#include <string>
#include <vector>

#include "cli/image.h"

namespace vs::cli {

struct GalleryItem {
  std::vector<float> values;  // of gallery.shape
  std::string id;             // empty for a query that is no point
  std::string row;            // of a query that comes from a file; else empty
  std::string label;          // empty if unknown
  std::string distance;       // empty for a query

  // "row 5", or the id; empty for a query that was given as numbers.
  std::string name() const { return row.empty() ? id : "row " + row; }
};

struct GalleryQuery {
  GalleryItem item;
  std::vector<GalleryItem> neighbours;  // nearest first
};

struct Gallery {
  ImageShape shape;
  std::vector<GalleryQuery> queries;

  // Of all images, so that they can be compared.
  ValueRange range() const;
};

// No more than so many pixels: about 200 MB while they are drawn.
inline constexpr uint64_t kPicturePixelsMax = uint64_t{1} << 26;

// How many times larger an image is shown, so that a small one can be seen. At least 1.
int image_scale(const ImageShape& shape);

// One query: a grid that begins with it. Several: each begins a line, its neighbours beside it.
// REQUIRES: every item has shape.numbers() values; at least one query. Errors: kBadArgument (more than
// kPicturePixelsMax).
Result<Picture> draw_sheet(const Gallery& gallery);

// A page that is complete in itself: images are data: URIs, and nothing is loaded or run. `title` and `description` are
// plain text.
// REQUIRES: as draw_sheet.
std::string gallery_page(const Gallery& gallery, const std::string& title, const std::string& description);

// Text that stands for itself in HTML, also in a quoted attribute.
std::string html_text(std::string_view text);

}  // namespace vs::cli
