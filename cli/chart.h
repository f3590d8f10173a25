// A curve of labelled points with axes, as PNG or SVG.
#pragma once

#include <string>
#include <vector>

#include "cli/picture.h"

namespace vs::cli {

// The x axis is linear, the y axis logarithmic.
struct Chart {
  struct Point {
    double x = 0;
    double y = 0;  // above 0
    std::string label;
  };
  std::string title;
  std::string subtitle;
  std::string x_label;
  std::string y_label;
  std::vector<Point> points;  // at least one; joined in this order
};

// Whether write_chart() takes a file of this name.
Status check_chart_path(const std::string& path);
// As the ending of `path` says. Errors: kBadArgument (another ending than .png or .svg), kIoError.
Status write_chart(const Chart& chart, const std::string& path);

Picture chart_picture(const Chart& chart);
std::string chart_svg(const Chart& chart);

// Multiples of 1, 2 or 5 times a power of ten that enclose low and high; at least two. REQUIRES: low <= high.
std::vector<double> linear_ticks(double low, double high);
// 1, 2, 5, 10, 20, …: those that enclose low and high, at least two. REQUIRES: 0 < low <= high.
std::vector<double> log_ticks(double low, double high);
// Each with as many decimals as its neighbours need to differ from it.
std::vector<std::string> tick_texts(const std::vector<double>& ticks);

}  // namespace vs::cli
