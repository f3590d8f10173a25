// The font, pictures and their PNG files, and images in the terminal.
#include <gtest/gtest.h>
#include <png.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "cli/font.h"
#include "cli/gallery.h"
#include "cli/show.h"

namespace vs::cli {
namespace {

std::string glyph_bits(char character) {
  std::string out;
  for (int y = 0; y < kGlyphHeight; ++y)
    for (int x = 0; x < kGlyphWidth; ++x) out += glyph_pixel(character, x, y) ? '#' : '.';
  return out;
}

TEST(CliFontTest, EveryPrintableCharacterHasItsOwnGlyph) {
  std::set<std::string> seen;
  for (char c = ' '; c <= '~'; ++c) EXPECT_TRUE(seen.insert(glyph_bits(c)).second) << c;
  EXPECT_EQ(glyph_bits(' ').find('#'), std::string::npos);
  EXPECT_EQ(glyph_bits('\n'), glyph_bits('?'));
  EXPECT_EQ(glyph_bits('\xC3'), glyph_bits('?'));
  EXPECT_FALSE(glyph_pixel('W', -1, 0));
  EXPECT_FALSE(glyph_pixel('W', 0, kGlyphHeight));
}

TEST(CliPictureTest, DrawingIsCutOffAtTheEdges) {
  Picture picture(4, 3, {1, 2, 3});
  picture.fill(-5, -5, 7, 7, {9, 9, 9});
  picture.text(2, -3, "WWW", 2, {7, 7, 7});
  EXPECT_EQ(picture.at(0, 0), (Rgb{9, 9, 9}));
  EXPECT_EQ(picture.at(0, 2), (Rgb{1, 2, 3}));
}

TEST(CliPictureTest, TextHasTheGlyphsPixels) {
  Picture picture(text_width("H", 1), text_height(1), {255, 255, 255});
  picture.text(0, 0, "H", 1, {0, 0, 0});
  for (int y = 0; y < picture.height(); ++y)
    for (int x = 0; x < picture.width(); ++x)
      EXPECT_EQ(picture.at(x, y) == Rgb{}, glyph_pixel('H', x, y)) << x << "," << y;
}

TEST(CliPictureTest, PngReadsBack) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("vs-cli-" + std::to_string(::getpid()) + ".png")).string();
  Picture picture(37, 11, {250, 240, 230});
  picture.set(36, 10, {1, 2, 3});
  picture.text(2, 1, "ok", 1, {200, 0, 0});
  ASSERT_TRUE(picture.write_png(path).ok());
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  ASSERT_NE(png_image_begin_read_from_file(&image, path.c_str()), 0);
  image.format = PNG_FORMAT_RGB;
  ASSERT_EQ(image.width, 37u);
  ASSERT_EQ(image.height, 11u);
  std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(image));
  ASSERT_NE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr), 0);
  for (int y = 0; y < 11; ++y)
    for (int x = 0; x < 37; ++x) {
      const size_t at = static_cast<size_t>(y * 37 + x) * 3;
      EXPECT_EQ(picture.at(x, y), (Rgb{pixels[at], pixels[at + 1], pixels[at + 2]}));
    }
  std::filesystem::remove(path);
  const Status failed = picture.write_png("/nonexistent/picture.png");
  EXPECT_EQ(failed.code(), Code::kIoError);
}

TEST(CliGalleryTest, ShapeIsTheSquareOrTheOneNamed) {
  EXPECT_EQ(image_shape("", 784)->width, 28);
  EXPECT_FALSE(image_shape("", 785).ok());
  EXPECT_EQ(image_shape("2x3", 6)->height, 2);
  EXPECT_EQ(image_shape("2x3", 6)->width, 3);
  for (const char* text : {"2x4", "6", "x6", "2x", "-2x-3", "2x3x1", "axb"}) EXPECT_FALSE(image_shape(text, 6).ok());
}

Gallery small_gallery() {
  Gallery gallery{{2, 2}, {}};
  gallery.items.push_back({{0, 1, 2, 4}, "", "7", ""});
  gallery.items.push_back({{4, 4, 0, 2}, "a point with a very long id that has to be cut", "7", "0.5000"});
  gallery.items.push_back({{-4, 4, 0, 2}, "b", "8", "1.5000"});
  return gallery;
}

TEST(CliGalleryTest, GreysSpanAllItems) {
  const Gallery gallery = small_gallery();
  EXPECT_EQ(gallery.greys(gallery.items[2]), (std::vector<uint8_t>{0, 255, 128, 191}));
  const Gallery flat{{1, 1}, {{{3}, "", "", ""}}};
  EXPECT_EQ(flat.greys(flat.items[0]), std::vector<uint8_t>{0});
}

TEST(CliGalleryTest, GridHoldsTheEnlargedImages) {
  const Gallery gallery = small_gallery();
  const Picture picture = draw_grid(gallery);
  EXPECT_GT(picture.width(), 3 * 8);
  // The second pixel of the third item is the only white block of 4 by 4 with black at its left.
  bool found = false;
  for (int y = 0; y + 4 <= picture.height(); ++y)
    for (int x = 1; x + 4 <= picture.width(); ++x) {
      bool block = true;
      for (int i = 0; i < 16; ++i) block &= picture.at(x + i % 4, y + i / 4) == Rgb{255, 255, 255};
      found |= block && picture.at(x - 1, y) == Rgb{} && picture.at(x - 1, y + 3) == Rgb{};
    }
  EXPECT_TRUE(found);
}

TEST(CliShowTest, AsciiAndColour) {
  const Gallery gallery = small_gallery();
  const std::string ascii = show_gallery(gallery, {false, 80});
  EXPECT_NE(ascii.find("query"), std::string::npos);
  EXPECT_NE(ascii.find("distance 1.5000"), std::string::npos);
  EXPECT_EQ(ascii.find('\033'), std::string::npos);
  EXPECT_NE(show_gallery(gallery, {true, 80}).find("\033[38;2;255;255;255m"), std::string::npos);
  // One image a line when the terminal is narrow.
  const std::string narrow = show_gallery(gallery, {false, 10});
  EXPECT_LT(narrow.find("query"), narrow.find("id b"));
  for (size_t begin = 0; begin < narrow.size(); begin = narrow.find('\n', begin) + 1)
    EXPECT_LE(narrow.find('\n', begin) - begin, 15u);
}

}  // namespace
}  // namespace vs::cli
