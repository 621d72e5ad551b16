// What every figure has around its panels or pictures: a title, a caption, and below all a line
// that says what it was made from.
#pragma once

#include <functional>
#include <string>

#include "experiments/figures/svg.h"

namespace ddpm {

struct FigureText {
  std::string title;
  std::string caption = {};  // what is seen, in a sentence or two
  std::string source = {};   // run, step, weights, seed
};

// The SVG of a figure whose content is `width` x `height` pixels and drawn by `draw` with its top
// left corner at (x, y).
std::string draw_page(const FigureText& text, double width, double height,
                      const std::function<void(Svg& svg, double x, double y)>& draw);

}  // namespace ddpm
