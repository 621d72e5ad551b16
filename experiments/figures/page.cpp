#include "experiments/figures/page.h"

#include <algorithm>

namespace ddpm {

std::string draw_page(const FigureText& text, double width, double height,
                      const std::function<void(Svg& svg, double x, double y)>& draw) {
  constexpr double kMargin = 16, kTitle = 15, kSmall = 10.5, kLine = 14, kLeast = 420;
  const double inner = std::max({width, kLeast, text_width(text.title, kTitle)});
  const auto caption = wrap_text(text.caption, kSmall, inner);
  const auto source = wrap_text(text.source, kSmall, inner);
  const double top = kMargin + 20 + kLine * static_cast<double>(caption.size()) + 8;
  const double bottom = 6 + kLine * static_cast<double>(source.size()) + kMargin;
  Svg svg(inner + 2 * kMargin, top + height + bottom);
  double y = kMargin + kTitle;
  svg.text(kMargin, y, text.title, {.size = kTitle, .bold = true});
  y += 5;
  for (const std::string& line : caption)
    svg.text(kMargin, y += kLine, line, {.size = kSmall, .color = kMuted});
  draw(svg, kMargin, top);
  y = top + height + 6;
  for (const std::string& line : source)
    svg.text(kMargin, y += kLine, line, {.size = kSmall, .color = kMuted, .formulas = false});
  return svg.finish();
}

}  // namespace ddpm
