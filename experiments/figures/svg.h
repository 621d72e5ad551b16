// Svg: a drawing of lines, text and pictures as one SVG file that any browser shows. Coordinates
// are pixels from the top left corner. Text is in the reader's sans-serif, so its width is only an
// estimate: leave room.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "framework/io/png.h"

namespace ddpm {

inline constexpr const char* kInk = "#1b1f24";
inline constexpr const char* kMuted = "#59626c";
inline constexpr const char* kGridLine = "#e3e7eb";

enum class Anchor { kStart, kMiddle, kEnd };

struct TextStyle {
  double size = 11;
  Anchor anchor = Anchor::kStart;
  const char* color = kInk;
  bool bold = false;
  double rotation = 0;   // degrees, clockwise, around the anchor
  bool formulas = true;  // "x_t" and "x_{t-1}" get subscripts; words such as fixed_large do not
};

struct Box {
  double x = 0, y = 0, width = 0, height = 0;
};

using SvgPoints = std::vector<std::pair<double, double>>;

class Svg {
 public:
  Svg(double width, double height);

  void text(double x, double y, std::string_view text, const TextStyle& style = {});
  void line(double x1, double y1, double x2, double y2, const char* color, double width = 1);
  // What leaves the box is not shown; `dash` is SVG's stroke-dasharray.
  void polyline(const SvgPoints& points, const char* color, const Box& box, const char* dash = "");
  void polygon(const SvgPoints& points, const char* color, double opacity, const Box& box);
  void circle(double x, double y, double radius, const char* color);
  void frame(const Box& box, const char* color);
  // Pixels stay squares.
  void image(const Box& box, const Image& image);

  std::string finish() const;

 private:
  std::string clip(const Box& box);

  double width_, height_;
  std::string definitions_, body_;
  std::vector<std::string> clips_;
};

// The markup of a text of `size` pixels with subscripts: "x_t" becomes x<tspan ..>t</tspan>.
std::string with_subscripts(std::string_view text, double size);
double text_width(std::string_view text, double size);
// Lines of at most `width` pixels, broken at spaces, and at every newline.
std::vector<std::string> wrap_text(std::string_view text, double size, double width);

}  // namespace ddpm
