// A small bitmap font for pictures: printable ASCII, five pixels wide, seven above the line and two below.
#pragma once

namespace vs::cli {

inline constexpr int kGlyphWidth = 5;
inline constexpr int kGlyphHeight = 9;
inline constexpr int kGlyphAscent = 7;

// Whether the glyph of `character` (a question mark's for what is not printable ASCII) is black at column x, row y.
// Outside the glyph's box it is white.
bool glyph_pixel(char character, int x, int y);

}  // namespace vs::cli
