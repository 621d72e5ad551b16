// Chart: curves in one or more panels, with axes, ticks and one legend, drawn as SVG.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "experiments/figures/page.h"

namespace ddpm {

enum class Marks { kLine, kDashedLine, kDots };

// Series of one label have one colour and one entry of the legend.
struct Series {
  std::string label;
  // By x. What has no place on an axis (not finite, or not positive on a logarithmic one) breaks
  // the line.
  std::vector<std::pair<double, double>> points = {};
  std::vector<double> error = {};  // of each y: a band of +- this
  Marks marks = Marks::kLine;
};

struct Panel {
  std::string title = {}, x = {}, y = {};
  bool log_x = false, log_y = false;
  std::vector<Series> series = {};
};

std::string draw_chart(const FigureText& text, const std::vector<Panel>& panels, int columns);

// Where an axis from `low` to `high` has its ticks: about `count` of them at 1, 2 or 5 times a
// power of ten; on a logarithmic axis at powers of ten, and at 2 and 5 times them where it is
// short.
std::vector<double> axis_ticks(double low, double high, bool log, int count);
// "0.02", "1000", "10⁻⁴"
std::string tick_label(double value);

}  // namespace ddpm
