#include "cli/chart.h"

#include <algorithm>
#include <cmath>

#include "cli/file.h"
#include "cli/font.h"
#include "cli/table.h"

namespace vs::cli {
namespace {

constexpr double kWidth = 1200;
constexpr double kHeight = 800;
// The frame of the curve.
constexpr double kLeft = 110;
constexpr double kRight = kWidth - 60;
constexpr double kTop = 130;
constexpr double kBottom = kHeight - 100;

constexpr int kTextSize = 2;
constexpr double kCapitals = kGlyphAscent * kTextSize;  // height of a line of text without what hangs below it
constexpr double kDot = 12;

constexpr Rgb kPaper{255, 255, 255};
constexpr Rgb kInk{28, 30, 34};
constexpr Rgb kFaint{104, 108, 116};
constexpr Rgb kGrid{226, 228, 232};
constexpr Rgb kAxis{150, 154, 162};
constexpr Rgb kCurve{28, 98, 196};

enum class Anchor { kStart, kMiddle, kEnd };

// What a chart is drawn with.
class Pen {
 public:
  virtual ~Pen() = default;
  virtual void line(double x0, double y0, double x1, double y1, double thickness, Rgb colour) = 0;
  // `y` is the line that the text stands on.
  virtual void text(double x, double y, Anchor anchor, const std::string& text, Rgb colour) = 0;
};

// About how wide text is; exact in a picture.
double width_of(const std::string& text) { return text_width(text, kTextSize); }

double start_of(double x, Anchor anchor, const std::string& text) {
  if (anchor == Anchor::kStart) return x;
  return anchor == Anchor::kMiddle ? x - width_of(text) / 2 : x - width_of(text);
}

class PicturePen final : public Pen {
 public:
  explicit PicturePen(Picture& picture) : picture_(picture) {}
  void line(double x0, double y0, double x1, double y1, double thickness, Rgb colour) override {
    picture_.line(x0, y0, x1, y1, thickness, colour);
  }
  void text(double x, double y, Anchor anchor, const std::string& text, Rgb colour) override {
    picture_.text(static_cast<int>(std::lround(start_of(x, anchor, text))),
                  static_cast<int>(std::lround(y - kCapitals)), text, kTextSize, colour);
  }

 private:
  Picture& picture_;
};

class SvgPen final : public Pen {
 public:
  void line(double x0, double y0, double x1, double y1, double thickness, Rgb colour) override {
    out_ += "<line x1=\"" + fixed(x0, 1) + "\" y1=\"" + fixed(y0, 1) + "\" x2=\"" + fixed(x1, 1) + "\" y2=\"" +
            fixed(y1, 1) + "\" stroke-width=\"" + fixed(thickness, 1) + "\" stroke=\"" + name(colour) + "\"/>\n";
  }
  void text(double x, double y, Anchor anchor, const std::string& text, Rgb colour) override {
    constexpr const char* kAnchors[] = {"start", "middle", "end"};
    out_ += "<text x=\"" + fixed(x, 1) + "\" y=\"" + fixed(y, 1) + "\" text-anchor=\"" +
            kAnchors[static_cast<int>(anchor)] + "\" fill=\"" + name(colour) + "\">" + escaped(text) + "</text>\n";
  }
  std::string take() {
    const std::string size = fixed(kWidth, 0) + " " + fixed(kHeight, 0);
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + size +
           "\" font-family=\"sans-serif\" font-size=\"19\" stroke-linecap=\"round\">\n<rect width=\"100%\" "
           "height=\"100%\" fill=\"" +
           name(kPaper) + "\"/>\n" + out_ + "</svg>\n";
  }

 private:
  static std::string name(Rgb colour) {
    return "rgb(" + std::to_string(colour.red) + "," + std::to_string(colour.green) + "," +
           std::to_string(colour.blue) + ")";
  }
  static std::string escaped(const std::string& text) {
    std::string out;
    for (char c : printable(text)) {
      if (c == '&') {
        out += "&amp;";
      } else if (c == '<') {
        out += "&lt;";
      } else {
        out += c;
      }
    }
    return out;
  }

  std::string out_;
};

// A rectangle that text takes.
struct Box {
  double left;
  double top;
  double right;
  double bottom;

  bool overlaps(const Box& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
};

class Drawing {
 public:
  Drawing(const Chart& chart, Pen& pen) : chart_(chart), pen_(pen) {
    const auto [x_low, x_high] = range(&Chart::Point::x);
    const auto [y_low, y_high] = range(&Chart::Point::y);
    x_ticks_ = linear_ticks(x_low, x_high);
    y_ticks_ = log_ticks(y_low, y_high);
  }

  void draw() {
    pen_.text(kLeft, 44, Anchor::kStart, chart_.title, kInk);
    pen_.text(kLeft, 74, Anchor::kStart, chart_.subtitle, kFaint);
    draw_axes();
    const auto& points = chart_.points;
    for (size_t i = 1; i < points.size(); ++i) draw_piece(points[i - 1], points[i]);
    for (const Chart::Point& point : points) {
      const double px = x(point.x);
      const double py = y(point.y);
      pen_.line(px, py, px, py, kDot, kCurve);
      taken_.push_back({px - kDot / 2, py - kDot / 2, px + kDot / 2, py + kDot / 2});
    }
    for (const Chart::Point& point : points) draw_label(point);
  }

 private:
  std::pair<double, double> range(double Chart::Point::*member) const {
    const auto [low, high] =
        std::minmax_element(chart_.points.begin(), chart_.points.end(),
                            [member](const Chart::Point& a, const Chart::Point& b) { return a.*member < b.*member; });
    return {(*low).*member, (*high).*member};
  }

  double x(double value) const {
    return kLeft + (value - x_ticks_.front()) / (x_ticks_.back() - x_ticks_.front()) * (kRight - kLeft);
  }
  double y(double value) const {
    const double part = std::log(value / y_ticks_.front()) / std::log(y_ticks_.back() / y_ticks_.front());
    return kBottom - part * (kBottom - kTop);
  }

  void draw_axes() {
    const std::vector<std::string> x_texts = tick_texts(x_ticks_);
    for (size_t i = 0; i < x_ticks_.size(); ++i) {
      const double px = x(x_ticks_[i]);
      pen_.line(px, kTop, px, kBottom + 6, 1, kGrid);
      pen_.text(px, kBottom + 30, Anchor::kMiddle, x_texts[i], kFaint);
    }
    const std::vector<std::string> y_texts = tick_texts(y_ticks_);
    for (size_t i = 0; i < y_ticks_.size(); ++i) {
      const double py = y(y_ticks_[i]);
      pen_.line(kLeft - 6, py, kRight, py, 1, kGrid);
      pen_.text(kLeft - 14, py + kCapitals / 2, Anchor::kEnd, y_texts[i], kFaint);
    }
    pen_.line(kLeft, kTop, kLeft, kBottom, 1.5, kAxis);
    pen_.line(kLeft, kBottom, kRight, kBottom, 1.5, kAxis);
    pen_.text((kLeft + kRight) / 2, kBottom + 68, Anchor::kMiddle, chart_.x_label, kInk);
    pen_.text(kLeft, kTop - 18, Anchor::kStart, chart_.y_label, kInk);
  }

  // Of the curve; labels keep clear of it.
  void draw_piece(const Chart::Point& from, const Chart::Point& to) {
    constexpr double kApart = 4;
    const double x0 = x(from.x);
    const double y0 = y(from.y);
    const double x1 = x(to.x);
    const double y1 = y(to.y);
    pen_.line(x0, y0, x1, y1, 3, kCurve);
    const int steps = static_cast<int>(std::hypot(x1 - x0, y1 - y0) / kApart) + 1;
    for (int i = 0; i <= steps; ++i) {
      const double px = x0 + (x1 - x0) * i / steps;
      const double py = y0 + (y1 - y0) * i / steps;
      taken_.push_back({px - 2, py - 2, px + 2, py + 2});
    }
  }

  // The place of the label beside its point: right above it, where a falling curve leaves room, or the first that is
  // free.
  void draw_label(const Chart::Point& point) {
    constexpr double kGap = 6;
    struct Place {
      double x;
      double y;
      Anchor anchor;
    };
    const double px = x(point.x);
    const double above = y(point.y) - kGap;
    const double below = y(point.y) + kGap + kCapitals;
    const Place places[] = {{px + kGap, above, Anchor::kStart},      {px - kGap, below, Anchor::kEnd},
                            {px - kGap, above, Anchor::kEnd},        {px + kGap, below, Anchor::kStart},
                            {px, above - 2 * kGap, Anchor::kMiddle}, {px, below + 2 * kGap, Anchor::kMiddle}};
    const auto box_at = [&point](const Place& place) {
      const double left = start_of(place.x, place.anchor, point.label);
      return Box{left, place.y - kCapitals, left + width_of(point.label), place.y};
    };
    const auto free =
        std::find_if(std::begin(places), std::end(places), [&](const Place& place) { return is_free(box_at(place)); });
    const Place& chosen = free != std::end(places) ? *free : places[0];
    taken_.push_back(box_at(chosen));
    pen_.text(chosen.x, chosen.y, chosen.anchor, point.label, kInk);
  }

  bool is_free(const Box& box) const {
    if (box.left < kLeft || box.right > kWidth - 4 || box.bottom > kBottom) return false;
    return std::none_of(taken_.begin(), taken_.end(), [&box](const Box& other) { return box.overlaps(other); });
  }

  const Chart& chart_;
  Pen& pen_;
  std::vector<double> x_ticks_;
  std::vector<double> y_ticks_;
  std::vector<Box> taken_;
};

bool is_svg(const std::string& path) { return path.ends_with(".svg"); }

}  // namespace

std::vector<double> linear_ticks(double low, double high) {
  constexpr int kSteps = 6;
  constexpr double kRounding = 1e-9;  // of a step
  if (!(low < high)) low = high - std::max(std::abs(high) * 0.1, 1e-3);
  const double rough = (high - low) / kSteps;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (double factor : {5.0, 2.0, 1.0})
    if (factor * power >= rough * (1 - kRounding)) step = factor * power;
  std::vector<double> ticks;
  const auto last = static_cast<long long>(std::ceil(high / step - kRounding));
  for (auto i = static_cast<long long>(std::floor(low / step + kRounding)); i <= last; ++i)
    ticks.push_back(static_cast<double>(i) * step);
  return ticks;
}

std::vector<double> log_ticks(double low, double high) {
  std::vector<double> ticks;
  double power = std::pow(10, std::floor(std::log10(low)) - 1);
  for (;; power *= 10)
    for (double factor : {1.0, 2.0, 5.0}) {
      const double tick = factor * power;
      if (tick <= low) ticks.clear();
      ticks.push_back(tick);
      if (tick >= high && ticks.size() > 1) return ticks;
    }
}

std::vector<std::string> tick_texts(const std::vector<double>& ticks) {
  std::vector<std::string> out;
  for (size_t i = 0; i < ticks.size(); ++i) {
    const double gap = i + 1 < ticks.size() ? ticks[i + 1] - ticks[i] : ticks[i] - ticks[i - 1];
    out.push_back(fixed(ticks[i], std::max(0, static_cast<int>(std::ceil(-std::log10(gap) - 1e-9)))));
  }
  return out;
}

Picture chart_picture(const Chart& chart) {
  Picture picture(static_cast<int>(kWidth), static_cast<int>(kHeight), kPaper);
  PicturePen pen(picture);
  Drawing(chart, pen).draw();
  return picture;
}

std::string chart_svg(const Chart& chart) {
  SvgPen pen;
  Drawing(chart, pen).draw();
  return pen.take();
}

Status check_chart_path(const std::string& path) {
  if (is_svg(path) || path.ends_with(".png")) return {};
  return {Code::kBadArgument, "expected a file that ends with .png or .svg; got '" + path + "'"};
}

Status write_chart(const Chart& chart, const std::string& path) {
  VS_RETURN_IF_ERROR(check_chart_path(path));
  VS_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path));
  VS_RETURN_IF_ERROR(file.write(is_svg(path) ? chart_svg(chart) : chart_picture(chart).png()));
  return file.commit();
}

}  // namespace vs::cli
