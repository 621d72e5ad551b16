#include "experiments/figures/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ddpm {
namespace {

// Okabe and Ito's colours, told apart by colour-blind readers; yellow is left out on white paper.
constexpr const char* kColors[] = {"#0072b2", "#d55e00", "#009e73", "#b0438a",
                                   "#c78600", "#2f9bd0", "#555555"};
constexpr double kPanelWidth = 380, kPanelHeight = 280;
constexpr Box kPlot = {.x = 58, .y = 26, .width = 306, .height = 206};  // within its panel
constexpr double kLegendRow = 18;

class Axis {
 public:
  Axis(const Panel& panel, bool is_y) : log_(is_y ? panel.log_y : panel.log_x) {
    double low = INFINITY, high = -INFINITY;
    for (const Series& series : panel.series)
      for (size_t i = 0; i < series.points.size(); ++i) {
        const auto& [x, y] = series.points[i];
        const double at = is_y ? y : x;
        if (!shows(at)) continue;
        const double error = is_y && i < series.error.size() ? series.error[i] : 0;
        low = std::min(low, shows(at - error) ? at - error : at);
        high = std::max(high, std::isfinite(error) ? at + error : at);
      }
    if (low > high) low = log_ ? 1 : 0, high = 1;  // nothing to show
    if (low == high) {
      low = log_ ? low / 2 : low - 0.5 * std::max(1.0, std::abs(low));
      high = log_ ? high * 2 : high + 0.5 * std::max(1.0, std::abs(high));
    }
    // A hair of room, or what touches the frame is cut; zero stays where it is.
    const double room = 0.03 * (place(high) - place(low));
    low_ = !log_ && low == 0 ? 0 : value(place(low) - room);
    high_ = value(place(high) + room);
  }

  bool shows(double v) const { return std::isfinite(v) && (!log_ || v > 0); }
  // 0 at the low end, 1 at the high one.
  double share(double v) const { return (place(v) - place(low_)) / (place(high_) - place(low_)); }
  std::vector<double> ticks(int count) const { return axis_ticks(low_, high_, log_, count); }
  double low() const { return low_; }

 private:
  double place(double v) const { return log_ ? std::log10(v) : v; }
  double value(double p) const { return log_ ? std::pow(10, p) : p; }

  bool log_;
  double low_ = 0, high_ = 1;
};

void draw_series(Svg& svg, const Series& series, const char* color, const Axis& x_axis,
                 const Axis& y_axis, const Box& plot) {
  const auto at = [&](double x, double y) {
    return std::pair(plot.x + plot.width * x_axis.share(x),
                     plot.y + plot.height * (1 - y_axis.share(y)));
  };
  SvgPoints piece, above, below;
  const auto flush = [&] {
    above.insert(above.end(), below.rbegin(), below.rend());
    if (above.size() > 2) svg.polygon(above, color, 0.18, plot);
    if (piece.size() > 1)
      svg.polyline(piece, color, plot, series.marks == Marks::kDashedLine ? "5 3" : "");
    if (piece.size() == 1) svg.circle(piece[0].first, piece[0].second, 2, color);
    piece.clear(), above.clear(), below.clear();
  };
  for (size_t i = 0; i < series.points.size(); ++i) {
    const auto& [x, y] = series.points[i];
    const bool shown = x_axis.shows(x) && y_axis.shows(y);
    if (series.marks == Marks::kDots) {
      if (shown) svg.circle(at(x, y).first, at(x, y).second, 3, color);
      continue;
    }
    if (!shown) {
      flush();
      continue;
    }
    piece.push_back(at(x, y));
    if (i >= series.error.size() || !std::isfinite(series.error[i])) continue;
    const double low = y - series.error[i];
    above.push_back(at(x, y + series.error[i]));
    below.push_back(at(x, y_axis.shows(low) ? low : y_axis.low()));
  }
  flush();
}

void draw_panel(Svg& svg, const Panel& panel, double left, double top,
                const std::vector<std::string>& labels) {
  const Box plot = {left + kPlot.x, top + kPlot.y, kPlot.width, kPlot.height};
  const Axis x_axis(panel, false), y_axis(panel, true);
  svg.text(plot.x, top + 16, panel.title, {.size = 12, .bold = true});
  for (const double tick : x_axis.ticks(5)) {
    const double x = plot.x + plot.width * x_axis.share(tick);
    svg.line(x, plot.y, x, plot.y + plot.height, kGridLine);
    svg.text(x, plot.y + plot.height + 15, tick_label(tick),
             {.size = 10, .anchor = Anchor::kMiddle, .color = kMuted});
  }
  for (const double tick : y_axis.ticks(5)) {
    const double y = plot.y + plot.height * (1 - y_axis.share(tick));
    svg.line(plot.x, y, plot.x + plot.width, y, kGridLine);
    svg.text(plot.x - 6, y + 3.5, tick_label(tick),
             {.size = 10, .anchor = Anchor::kEnd, .color = kMuted});
  }
  svg.frame(plot, kMuted);
  svg.text(plot.x + plot.width / 2, plot.y + plot.height + 33, panel.x,
           {.anchor = Anchor::kMiddle});
  svg.text(left + 13, plot.y + plot.height / 2, panel.y,
           {.anchor = Anchor::kMiddle, .rotation = -90});
  for (const Series& series : panel.series) {
    const auto index = std::find(labels.begin(), labels.end(), series.label) - labels.begin();
    draw_series(svg, series, kColors[static_cast<size_t>(index) % std::size(kColors)], x_axis,
                y_axis, plot);
  }
}

// Entries of the legend in rows: the x of each, a row ends where the next would not fit.
struct LegendEntry {
  const Series* series;
  double x;
  int row;
};
std::vector<LegendEntry> legend_of(const std::vector<Panel>& panels, double width) {
  std::vector<LegendEntry> entries;
  double x = 0;
  int row = 0;
  for (const Panel& panel : panels)
    for (const Series& series : panel.series) {
      const bool known = std::any_of(entries.begin(), entries.end(), [&](const LegendEntry& e) {
        return e.series->label == series.label;
      });
      if (known) continue;
      const double needed = 44 + text_width(series.label, 11);
      if (x > 0 && x + needed > width) x = 0, ++row;
      entries.push_back({&series, x, row});
      x += needed;
    }
  return entries;
}

}  // namespace

std::vector<double> axis_ticks(double low, double high, bool log, int count) {
  std::vector<double> ticks;
  if (!log) {
    const double rough = (high - low) / count, power = std::pow(10, std::floor(std::log10(rough)));
    const double digit = rough / power;
    const double step = power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
    const double first = std::ceil(low / step - 1e-9), last = std::floor(high / step + 1e-9);
    // Not a running sum: 0.3 is to be the double nearest to it, and zero is to be zero.
    for (double k = first; k <= last; ++k) ticks.push_back(k == 0 ? 0 : k * step);
    return ticks;
  }
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  const double decades = std::log10(high / low);
  const int stride = std::max(1, static_cast<int>(std::ceil(decades / (count + 1))));
  for (int power = first; power <= last; power += 1) {
    for (const double digit : {1.0, 2.0, 5.0}) {
      const bool shown = digit == 1 ? (power % stride + stride) % stride == 0 : decades <= 2;
      const double tick = digit * std::pow(10, power);
      if (shown && tick >= low * (1 - 1e-9) && tick <= high * (1 + 1e-9)) ticks.push_back(tick);
    }
  }
  return ticks;
}

std::string tick_label(double value) {
  static constexpr const char* kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  const double size = std::abs(value);
  if (size == 0 || (size > 9.99e-4 && size < 99999)) return fmt::format("{:.5g}", value);
  const int power = static_cast<int>(std::floor(std::log10(size) + 1e-9));
  const std::string factor = fmt::format("{:.3g}", value / std::pow(10, power));
  std::string text = factor == "1" ? "10" : factor == "-1" ? "-10" : factor + "·10";
  if (power < 0) text += "⁻";
  for (const char c : std::to_string(std::abs(power))) text += kDigits[c - '0'];
  return text;
}

std::string draw_chart(const FigureText& text, const std::vector<Panel>& panels, int columns) {
  const int count = static_cast<int>(panels.size());
  const double width = kPanelWidth * std::min(columns, count);
  const std::vector<LegendEntry> legend = legend_of(panels, width);
  std::vector<std::string> labels;
  for (const LegendEntry& entry : legend) labels.push_back(entry.series->label);
  const double legend_height = legend.empty() ? 0 : kLegendRow * (legend.back().row + 1) + 6;
  const double height = kPanelHeight * ((count + columns - 1) / columns) + legend_height;
  return draw_page(text, width, height, [&](Svg& svg, double x, double y) {
    for (size_t i = 0; i < legend.size(); ++i) {
      const double left = x + legend[i].x, middle = y + kLegendRow * legend[i].row + 8;
      const char* color = kColors[i % std::size(kColors)];
      const Series& series = *legend[i].series;
      const Box all = {left, middle - 4, 24, 8};
      if (series.marks == Marks::kDots) {
        svg.circle(left + 12, middle, 3, color);
      } else {
        svg.polyline({{left, middle}, {left + 24, middle}}, color, all,
                     series.marks == Marks::kDashedLine ? "5 3" : "");
      }
      svg.text(left + 29, middle + 4, series.label);
    }
    for (int i = 0; i < count; ++i)
      draw_panel(svg, panels[static_cast<size_t>(i)], x + kPanelWidth * (i % columns),
                 y + legend_height + kPanelHeight * (i / columns), labels);
  });
}

}  // namespace ddpm
