// The font, pictures and their PNG files, and images in the terminal.
#include <gtest/gtest.h>
#include <png.h>

#include <limits>
#include <set>
#include <utility>

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

// The picture that a PNG file's content holds.
Picture decode_png(const std::string& bytes) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_NE(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()), 0);
  image.format = PNG_FORMAT_RGB;
  std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(image));
  EXPECT_NE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr), 0);
  Picture out(static_cast<int>(image.width), static_cast<int>(image.height), {});
  size_t at = 0;
  for (int y = 0; y < out.height(); ++y)
    for (int x = 0; x < out.width(); ++x, at += 3) out.set(x, y, {pixels[at], pixels[at + 1], pixels[at + 2]});
  return out;
}

void expect_same(const Picture& a, const Picture& b) {
  ASSERT_EQ(a.width(), b.width());
  ASSERT_EQ(a.height(), b.height());
  for (int y = 0; y < a.height(); ++y)
    for (int x = 0; x < a.width(); ++x) EXPECT_EQ(a.at(x, y), b.at(x, y)) << x << "," << y;
}

TEST(CliPictureTest, PngReadsBack) {
  Picture picture(37, 11, {250, 240, 230});
  picture.set(36, 10, {1, 2, 3});
  picture.text(2, 1, "ok", 1, {200, 0, 0});
  expect_same(decode_png(picture.png()), picture);
}

void expect_shape(const char* text, size_t dim, int height, int width, Channels channels) {
  const auto shape = image_shape(text, dim);
  ASSERT_TRUE(shape.ok()) << text << ": " << shape.status().message();
  EXPECT_EQ(shape->height, height) << text;
  EXPECT_EQ(shape->width, width) << text;
  EXPECT_EQ(shape->channels, channels) << text;
  EXPECT_EQ(shape->numbers(), dim);
}

TEST(CliImageTest, ShapeIsGuessed) {
  expect_shape("", 784, 28, 28, Channels::kGrey);
  expect_shape("", 1, 1, 1, Channels::kGrey);
  expect_shape("", 3, 1, 1, Channels::kRgbLast);
  expect_shape("", 3072, 32, 32, Channels::kRgbLast);
  for (const size_t dim : {size_t{0}, size_t{2}, size_t{6}, size_t{785}, size_t{3 * 1023}}) {
    const Status status = image_shape("", dim).status();
    EXPECT_EQ(status.code(), Code::kBadArgument) << dim;
    EXPECT_NE(status.message().find("--shape"), std::string::npos);
  }
}

TEST(CliImageTest, ShapeIsNamed) {
  expect_shape("2x3", 6, 2, 3, Channels::kGrey);
  expect_shape("3x2", 6, 3, 2, Channels::kGrey);
  expect_shape("4x5x3", 60, 4, 5, Channels::kRgbLast);
  expect_shape("3x4x5", 60, 4, 5, Channels::kRgbFirst);
  expect_shape("3x4x3", 36, 3, 4, Channels::kRgbLast);
  for (const char* text : {"2x4", "6", "x6", "6x", "2x", "-2x-3", "2x3x1", "1x2x3x1", "axb", "2X3", "2 x3", "0x6", "x",
                           "99999999999x1", "65536x65536", "2x3x", "+2x3"})
    EXPECT_EQ(image_shape(text, 6).status().code(), Code::kBadArgument) << text;
  EXPECT_NE(image_shape("32x32", 3072).status().message().find("32x32x3 or 3x32x32"), std::string::npos);
}

TEST(CliImageTest, BlackIsZeroOrTheLeast) {
  ValueRange pixels;
  pixels.include(std::vector<float>{51, 255});
  EXPECT_EQ(pixels.brightness(51), 51);
  EXPECT_EQ(pixels.brightness(255), 255);
  ValueRange centred;
  centred.include(std::vector<float>{-4, 4});
  centred.include(std::vector<float>{0, 2});
  EXPECT_EQ(centred.brightness(-4), 0);
  EXPECT_EQ(centred.brightness(0), 128);
  EXPECT_EQ(centred.brightness(2), 191);
  ValueRange zeros;
  zeros.include(std::vector<float>{0, 0});
  EXPECT_EQ(zeros.brightness(0), 0);
  ValueRange negative;
  negative.include(std::vector<float>{-3, -1});
  EXPECT_EQ(negative.brightness(-3), 0);
  EXPECT_EQ(negative.brightness(-1), 255);
  constexpr float kMost = std::numeric_limits<float>::max();
  ValueRange wide;
  wide.include(std::vector<float>{-kMost, kMost});
  EXPECT_EQ(wide.brightness(kMost), 255);
}

TEST(CliImageTest, ChannelsStandLastOrFirst) {
  ValueRange range;
  range.include(std::vector<float>{255});
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const Picture last = draw_vector(values, {1, 2, Channels::kRgbLast}, range);
  EXPECT_EQ(last.at(0, 0), (Rgb{1, 2, 3}));
  EXPECT_EQ(last.at(1, 0), (Rgb{4, 5, 6}));
  const Picture first = draw_vector(values, {1, 2, Channels::kRgbFirst}, range);
  EXPECT_EQ(first.at(0, 0), (Rgb{1, 3, 5}));
  EXPECT_EQ(first.at(1, 0), (Rgb{2, 4, 6}));
  const Picture grey = draw_vector(values, {3, 2}, range);
  EXPECT_EQ(grey.at(1, 2), (Rgb{6, 6, 6}));
}

GalleryItem item(std::vector<float> values, const std::string& id, const std::string& label,
                 const std::string& distance) {
  return {std::move(values), id, "", label, distance};
}

Gallery small_gallery() {
  Gallery gallery{{2, 2}, {}};
  GalleryQuery& query = gallery.queries.emplace_back();
  query.item = item({0, 1, 2, 4}, "", "7", "");
  query.neighbours.push_back(item({4, 4, 0, 2}, "a point with a very long id that has to be cut", "7", "0.5000"));
  query.neighbours.push_back(item({-4, 4, 0, 2}, "b", "8", "1.5000"));
  return gallery;
}

// Two queries of 3 and 1 neighbours, all black but for one white pixel each: where `white` is in the image's place.
Gallery two_queries() {
  Gallery gallery{{1, 1}, {}};
  for (const size_t neighbours : {3, 1}) {
    GalleryQuery& query = gallery.queries.emplace_back();
    query.item = {{1}, "", "5", "", ""};
    for (size_t i = 0; i < neighbours; ++i) query.neighbours.push_back(item({1}, "n", "", "1"));
  }
  return gallery;
}

TEST(CliGalleryTest, SmallImagesAreEnlarged) {
  EXPECT_EQ(image_scale({28, 28}), 4);
  EXPECT_EQ(image_scale({32, 32, Channels::kRgbLast}), 4);
  EXPECT_EQ(image_scale({8, 8}), 14);
  EXPECT_EQ(image_scale({1, 112}), 1);
  EXPECT_EQ(image_scale({500, 1}), 1);
}

TEST(CliGalleryTest, SheetHoldsTheEnlargedImages) {
  const auto picture = draw_sheet(small_gallery());
  ASSERT_TRUE(picture.ok());
  const int scale = image_scale({2, 2});
  // The second pixel of the third item is the only white block with black at its left.
  bool found = false;
  for (int y = 0; y + scale <= picture->height(); ++y)
    for (int x = 1; x + scale <= picture->width(); ++x) {
      if (picture->at(x, y) != Rgb{255, 255, 255} || picture->at(x - 1, y) != Rgb{}) continue;
      bool block = true;
      for (int i = 0; i < scale * scale; ++i) block &= picture->at(x + i % scale, y + i / scale) == Rgb{255, 255, 255};
      found |= block && picture->at(x - 1, y + scale - 1) == Rgb{};
    }
  EXPECT_TRUE(found);
}

// Where white images of 112 by 112 begin, from the top and then from the left.
std::vector<std::pair<int, int>> white_images(const Picture& picture) {
  const auto white = [&](int x, int y) {
    return x >= 0 && y >= 0 && x < picture.width() && y < picture.height() && picture.at(x, y) == Rgb{255, 255, 255};
  };
  std::vector<std::pair<int, int>> out;
  for (int y = 0; y < picture.height(); ++y)
    for (int x = 0; x < picture.width(); ++x)
      if (white(x, y) && !white(x - 1, y) && !white(x, y - 1) && white(x + 111, y + 111)) out.emplace_back(y, x);
  return out;
}

TEST(CliGalleryTest, EachOfSeveralQueriesBeginsALine) {
  const auto picture = draw_sheet(two_queries());
  ASSERT_TRUE(picture.ok());
  const auto images = white_images(*picture);
  ASSERT_EQ(images.size(), 6u);
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(images[i].first, images[0].first);
  for (size_t i = 4; i < 6; ++i) EXPECT_EQ(images[i].first, images[4].first);
  EXPECT_GT(images[4].first, images[0].first + 112);
  EXPECT_EQ(images[4].second, images[0].second);
  EXPECT_EQ(images[5].second, images[1].second);
}

TEST(CliGalleryTest, OneQueryIsAGrid) {
  Gallery gallery = two_queries();
  gallery.queries.pop_back();
  gallery.queries.front().neighbours.resize(6, item({1}, "n", "", "1"));
  const auto picture = draw_sheet(gallery);
  ASSERT_TRUE(picture.ok());
  const auto images = white_images(*picture);
  ASSERT_EQ(images.size(), 7u);
  EXPECT_EQ(images[5].first, images[0].first);
  EXPECT_EQ(images[6].second, images[0].second);
}

TEST(CliGalleryTest, NeighboursOfASecondLineStayBesideTheirQuery) {
  Gallery gallery = two_queries();
  gallery.queries.front().neighbours.resize(21, item({1}, "n", "", "1"));
  const auto picture = draw_sheet(gallery);
  ASSERT_TRUE(picture.ok());
  const auto images = white_images(*picture);
  ASSERT_EQ(images.size(), 24u);
  EXPECT_EQ(images[21].second, images[1].second);
  EXPECT_EQ(images[22].second, images[0].second);
}

TEST(CliGalleryTest, NothingFoundIsStillAPicture) {
  Gallery gallery = two_queries();
  for (GalleryQuery& query : gallery.queries) query.neighbours.clear();
  const auto picture = draw_sheet(gallery);
  ASSERT_TRUE(picture.ok());
  EXPECT_EQ(white_images(*picture).size(), 2u);
  EXPECT_NE(gallery_page(gallery, "t", "d").find("no neighbours"), std::string::npos);
}

TEST(CliGalleryTest, TooLargeASheetIsRefused) {
  Gallery gallery{{1, 65535}, {}};
  gallery.queries.resize(40);
  EXPECT_EQ(draw_sheet(gallery).status().code(), Code::kBadArgument);
}

TEST(CliGalleryTest, HtmlTextStandsForItself) {
  EXPECT_EQ(html_text("a<b>&\"'é"), "a&lt;b&gt;&amp;&quot;&#39;é");
  EXPECT_EQ(html_text("x\u202ey\n"), "x?y?");
}

TEST(CliGalleryTest, PageHoldsEveryImageAsItIs) {
  Gallery gallery = small_gallery();
  gallery.queries.front().neighbours[1].id = "\"><script>x</script>";
  const std::string page = gallery_page(gallery, "<title>", "a & b");
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_NE(page.find("alt=\"neighbour 2: id &quot;&gt;&lt;script&gt;x&lt;/script&gt;, label 8, distance 1.5000\""),
            std::string::npos);
  EXPECT_NE(page.find("<h1>&lt;title&gt;</h1>\n<p>a &amp; b</p>"), std::string::npos);
  EXPECT_NE(page.find("<dd class=\"same\">7</dd>"), std::string::npos);
  EXPECT_NE(page.find("<dd class=\"other\">8</dd>"), std::string::npos);
  EXPECT_NE(page.find("Black is -4, white is 4."), std::string::npos);
  size_t images = 0;
  constexpr std::string_view kSource = "src=\"data:image/png;base64,";
  for (size_t at = page.find(kSource); at != std::string::npos; at = page.find(kSource, at + 1)) ++images;
  EXPECT_EQ(images, 3u);
  EXPECT_EQ(page.find("http:"), std::string::npos);
  EXPECT_EQ(page.find("https:"), std::string::npos);
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

TEST(CliShowTest, ColoursAreShownOrTheirBrightness) {
  Gallery gallery{{1, 1, Channels::kRgbLast}, {}};
  gallery.queries.push_back({item({255, 0, 10}, "", "", ""), {}});
  EXPECT_NE(show_gallery(gallery, {true, 80}).find("\033[38;2;255;0;10m"), std::string::npos);
  EXPECT_EQ(show_gallery(gallery, {false, 80}).substr(0, 2), "-\n") << "red is rather dark";
}

TEST(CliShowTest, WideImagesAreMadeSmaller) {
  Gallery gallery{{4, 400}, {}};
  gallery.queries.push_back({item(std::vector<float>(1600, 1), "", "", ""), {}});
  const std::string shown = show_gallery(gallery, {false, 100});
  EXPECT_EQ(shown, std::string(100, '@') + "\nquery\n\n");
}

TEST(CliShowTest, EachQueryBeginsALine) {
  const std::string shown = show_gallery(two_queries(), {false, 80});
  EXPECT_EQ(shown,
            "@                @                @                @\n"
            "query row 5      id n             id n             id n\n"
            "                 distance 1       distance 1       distance 1\n\n"
            "@                @\n"
            "query row 5      id n\n"
            "                 distance 1\n\n");
}

}  // namespace
}  // namespace vs::cli
