#include "cli/gallery.h"

#include <algorithm>

#include "cli/table.h"

namespace vs::cli {
namespace {

constexpr int kImageSide = 112;  // about so large are small images shown
constexpr int kMargin = 24;
constexpr int kGap = 24;
constexpr int kFrame = 2;
constexpr int kGridColumns = 6;   // of one query
constexpr int kLineColumns = 21;  // of one of several, itself included
constexpr int kTextSize = 2;
constexpr int kLineHeight = 24;
constexpr int kCaptionTop = 12;  // between an image and its first line
constexpr int kCaptionLines = 3;
constexpr int kRule = 1;

constexpr Rgb kPaper{250, 250, 248};
constexpr Rgb kInk{28, 30, 34};
constexpr Rgb kFaint{134, 138, 146};
constexpr Rgb kLine{206, 208, 212};
constexpr Rgb kQuery{28, 98, 196};
constexpr Rgb kSame{22, 128, 70};
constexpr Rgb kOther{196, 72, 28};

// Wide enough for "distance" in small letters and a value such as 1.8914 in large ones.
constexpr int kCaptionWidth = 136;

// Where the cells of a sheet lie. Cell 0 of a query is the query itself.
class Layout {
 public:
  explicit Layout(const Gallery& gallery)
      : scale_(image_scale(gallery.shape)),
        image_width_(gallery.shape.width * scale_),
        image_height_(gallery.shape.height * scale_),
        several_(gallery.queries.size() > 1) {
    size_t most = 0;
    for (const GalleryQuery& query : gallery.queries) most = std::max(most, query.neighbours.size());
    columns_ = std::min(most + 1, static_cast<size_t>(several_ ? kLineColumns : kGridColumns));
    for (const GalleryQuery& query : gallery.queries) {
      tops_.push_back(height_);
      height_ += lines(query.neighbours.size() + 1) * (cell_height() + kGap) + (several_ ? kGap + kRule : 0);
    }
  }

  int scale() const { return scale_; }
  int image_width() const { return image_width_; }
  int image_height() const { return image_height_; }
  int cell_width() const { return std::max(image_width_, kCaptionWidth); }
  int cell_height() const { return image_height_ + kCaptionTop + kCaptionLines * kLineHeight; }
  int64_t width() const { return int64_t{2} * kMargin + static_cast<int64_t>(columns_) * (cell_width() + kGap) - kGap; }
  // The last line of text ends above its full height.
  int64_t height() const {
    return int64_t{2} * kMargin + height_ - kGap - (several_ ? kGap + kRule : 0) -
           (kLineHeight - text_height(kTextSize));
  }

  int x(size_t cell) const { return kMargin + static_cast<int>(column(cell)) * (cell_width() + kGap); }
  int y(size_t query, size_t cell) const {
    return static_cast<int>(kMargin + tops_[query] + static_cast<int64_t>(line(cell)) * (cell_height() + kGap));
  }
  // Of the rule above a query that is not the first.
  int rule_y(size_t query) const { return y(query, 0) - kGap - kRule; }

 private:
  // The neighbours of one of several stay beside it, also those of a second line.
  bool beside() const { return several_ && columns_ > 1; }
  size_t column(size_t cell) const {
    if (!beside()) return cell % columns_;
    return cell == 0 ? 0 : 1 + (cell - 1) % (columns_ - 1);
  }
  size_t line(size_t cell) const {
    if (!beside()) return cell / columns_;
    return cell == 0 ? 0 : (cell - 1) / (columns_ - 1);
  }
  int64_t lines(size_t cells) const { return static_cast<int64_t>(line(cells - 1)) + 1; }

  const int scale_;
  const int image_width_;
  const int image_height_;
  const bool several_;
  size_t columns_ = 1;
  std::vector<int64_t> tops_;  // of the queries, below the margin
  int64_t height_ = 0;         // of all, each with a gap below
};

void draw_image(Picture& picture, const Picture& image, int x, int y, int scale) {
  for (int row = 0; row < image.height(); ++row)
    for (int column = 0; column < image.width(); ++column)
      picture.fill(x + column * scale, y + row * scale, scale, scale, image.at(column, row));
}

// Cut to fit; two dots stand for what is missing.
std::string fitting(const std::string& text, int width, int size) {
  std::string out = ascii(text);
  while (text_width(out, size) > width && out.size() > 2) out = out.substr(0, out.size() - 3) + "..";
  return out;
}

// One line: a small faint name at the left, the value at the right.
void draw_line(Picture& picture, int x, int y, int width, const std::string& name, const std::string& value,
               Rgb colour) {
  if (value.empty()) return;
  constexpr int kNameSize = 1;
  const int baseline_shift = text_height(kTextSize) * 7 / 9 - text_height(kNameSize) * 7 / 9;
  picture.text(x, y + baseline_shift, name, kNameSize, kFaint);
  const int room = width - text_width(name, kNameSize) - 8;
  const int size = text_width(ascii(value), kTextSize) <= room ? kTextSize : kNameSize;
  const std::string shown = fitting(value, room, size);
  picture.text(x + width - text_width(shown, size), y + (size == kTextSize ? 0 : baseline_shift), shown, size, colour);
}

void draw_query_captions(Picture& picture, const GalleryItem& query, int x, int y, int width) {
  picture.text(x, y, "query", kTextSize, kQuery);
  const bool named = !query.name().empty();
  draw_line(picture, x, y + kLineHeight, width, query.row.empty() ? "id" : "row",
            query.row.empty() ? query.id : query.row, kInk);
  draw_line(picture, x, y + (named ? 2 : 1) * kLineHeight, width, "label", query.label, kInk);
}

void draw_captions(Picture& picture, const GalleryItem& item, const GalleryItem& query, int x, int y, int width) {
  Rgb label_colour = kInk;
  if (!query.label.empty()) label_colour = item.label == query.label ? kSame : kOther;
  draw_line(picture, x, y, width, "id", item.id, kInk);
  draw_line(picture, x, y + kLineHeight, width, "label", item.label, label_colour);
  draw_line(picture, x, y + (item.label.empty() ? 1 : 2) * kLineHeight, width, "distance", item.distance, kInk);
}

}  // namespace

ValueRange Gallery::range() const {
  ValueRange range;
  for (const GalleryQuery& query : queries) {
    range.include(query.item.values);
    for (const GalleryItem& neighbour : query.neighbours) range.include(neighbour.values);
  }
  return range;
}

int image_scale(const ImageShape& shape) {
  const int side = std::max(shape.width, shape.height);
  return std::max(1, (kImageSide + side / 2) / side);
}

Result<Picture> draw_sheet(const Gallery& gallery) {
  const Layout layout(gallery);
  if (static_cast<uint64_t>(layout.width()) * static_cast<uint64_t>(layout.height()) > kPicturePixelsMax)
    return Status{Code::kBadArgument, "the picture would have " + std::to_string(layout.width()) + "x" +
                                          std::to_string(layout.height()) + " pixels, at most " +
                                          std::to_string(kPicturePixelsMax / 1'000'000) +
                                          " million are drawn; ask for fewer neighbours or queries, or for a .html"};
  Picture picture(static_cast<int>(layout.width()), static_cast<int>(layout.height()), kPaper);
  const ValueRange range = gallery.range();
  for (size_t q = 0; q < gallery.queries.size(); ++q) {
    const GalleryQuery& query = gallery.queries[q];
    if (q > 0) picture.fill(kMargin, layout.rule_y(q), picture.width() - 2 * kMargin, kRule, kLine);
    for (size_t cell = 0; cell <= query.neighbours.size(); ++cell) {
      const GalleryItem& item = cell == 0 ? query.item : query.neighbours[cell - 1];
      const int x = layout.x(cell);
      const int y = layout.y(q, cell);
      const int image_x = x + (layout.cell_width() - layout.image_width()) / 2;
      picture.frame(image_x, y, layout.image_width(), layout.image_height(), cell == 0 ? 2 * kFrame : 1,
                    cell == 0 ? kQuery : kLine);
      draw_image(picture, draw_vector(item.values, gallery.shape, range), image_x, y, layout.scale());
      const int caption_y = y + layout.image_height() + kCaptionTop;
      if (cell == 0)
        draw_query_captions(picture, item, x, caption_y, layout.cell_width());
      else
        draw_captions(picture, item, query.item, x, caption_y, layout.cell_width());
    }
  }
  return picture;
}

}  // namespace vs::cli
