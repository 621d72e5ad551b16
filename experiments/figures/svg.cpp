#include "experiments/figures/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <numbers>

#include "experiments/report/html.h"
#include "experiments/runner/text_table.h"

namespace ddpm {
namespace {

// The mean advance of a sans-serif character, in units of its size.
constexpr double kAdvance = 0.56;

std::string path_of(const SvgPoints& points) {
  std::string text;
  for (const auto& [x, y] : points) text += fmt::format("{:.2f},{:.2f} ", x, y);
  return text;
}

}  // namespace

Svg::Svg(double width, double height) : width_(width), height_(height) {}

void Svg::text(double x, double y, std::string_view text, const TextStyle& style) {
  static constexpr const char* kAnchors[] = {"start", "middle", "end"};
  const std::string content =
      style.formulas ? with_subscripts(text, style.size) : escape_html(text);
  Anchor anchor = style.anchor;
  // Programs differ in where they put a text of several pieces that is not anchored at its start.
  const bool pieces = content.find("<tspan") != std::string::npos;
  if (pieces && anchor != Anchor::kStart) {
    const double back = text_width(text, style.size) * (anchor == Anchor::kMiddle ? 0.5 : 1);
    const double angle = style.rotation * std::numbers::pi / 180;
    x -= back * std::cos(angle);
    y -= back * std::sin(angle);
    anchor = Anchor::kStart;
  }
  const std::string turn =
      style.rotation == 0
          ? ""
          : fmt::format(" transform=\"rotate({:.4g} {:.2f} {:.2f})\"", style.rotation, x, y);
  body_ += fmt::format(
      "<text x=\"{:.2f}\" y=\"{:.2f}\" font-size=\"{:.4g}\" fill=\"{}\" text-anchor=\"{}\"{}{}>"
      "{}</text>\n",
      x, y, style.size, style.color, kAnchors[static_cast<int>(anchor)],
      style.bold ? " font-weight=\"bold\"" : "", turn, content);
}

void Svg::line(double x1, double y1, double x2, double y2, const char* color, double width) {
  body_ += fmt::format(
      "<line x1=\"{:.2f}\" y1=\"{:.2f}\" x2=\"{:.2f}\" y2=\"{:.2f}\" stroke=\"{}\" "
      "stroke-width=\"{:.4g}\"/>\n",
      x1, y1, x2, y2, color, width);
}

std::string Svg::clip(const Box& box) {
  const std::string shape =
      fmt::format("<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\"/>", box.x,
                  box.y, box.width, box.height);
  const auto found = std::find(clips_.begin(), clips_.end(), shape);
  const auto index = found - clips_.begin();
  if (found == clips_.end()) {
    clips_.push_back(shape);
    definitions_ += fmt::format("<clipPath id=\"box{}\">{}</clipPath>\n", index, shape);
  }
  return fmt::format("clip-path=\"url(#box{})\"", index);
}

void Svg::polyline(const SvgPoints& points, const char* color, const Box& box, const char* dash) {
  const std::string dashes = *dash ? fmt::format(" stroke-dasharray=\"{}\"", dash) : "";
  body_ += fmt::format(
      "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\" "
      "stroke-linejoin=\"round\"{} {}/>\n",
      path_of(points), color, dashes, clip(box));
}

void Svg::polygon(const SvgPoints& points, const char* color, double opacity, const Box& box) {
  body_ += fmt::format("<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"{:.4g}\" {}/>\n",
                       path_of(points), color, opacity, clip(box));
}

void Svg::circle(double x, double y, double radius, const char* color) {
  body_ += fmt::format("<circle cx=\"{:.2f}\" cy=\"{:.2f}\" r=\"{:.4g}\" fill=\"{}\"/>\n", x, y,
                       radius, color);
}

void Svg::frame(const Box& box, const char* color) {
  body_ += fmt::format(
      "<rect x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" fill=\"none\" "
      "stroke=\"{}\"/>\n",
      box.x, box.y, box.width, box.height, color);
}

void Svg::image(const Box& box, const Image& image) {
  body_ += fmt::format(
      "<image x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\" "
      "style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>\n",
      box.x, box.y, box.width, box.height, base64(encode_png(image)));
}

std::string Svg::finish() const {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
      "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"Helvetica, Arial, 'DejaVu Sans', "
      "sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n<defs>\n{2}</defs>\n"
      "{3}</svg>\n",
      width_, height_, definitions_, body_);
}

std::string with_subscripts(std::string_view text, double size) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto is_word = [&](size_t i) { return std::isalnum(byte(i)) || text[i] == '_'; };
  // The beginning of the UTF-8 character that ends before `end`.
  const auto before = [&](size_t end) {
    do --end;
    while (end > 0 && (byte(end) & 0xC0) == 0x80);
    return end;
  };
  // Pixels: not every program that shows SVG knows em and per cent here.
  const double drop = 0.21 * size;
  std::string markup;
  size_t plain = 0;  // where the text begins that is not yet written
  const auto write_plain = [&](size_t end) {
    const std::string part = escape_html(text.substr(plain, end - plain));
    // What follows a subscript climbs back to the line.
    markup += plain == 0 || part.empty()
                  ? part
                  : fmt::format("<tspan dy=\"{:.4g}\">{}</tspan>", -drop, part);
  };
  for (size_t i = text.find('_', 1); i != std::string_view::npos; i = text.find('_', i + 1)) {
    size_t symbol = before(i);
    // A bar, a tilde or a prime belongs to the letter before it.
    const bool mark =
        byte(symbol) == 0xCC || byte(symbol) == 0xCD || text.substr(symbol, i - symbol) == "\u2032";
    if (mark && symbol > 0) symbol = before(symbol);
    if ((symbol > 0 && is_word(symbol - 1)) || i + 1 == text.size()) continue;
    const bool braces = text[i + 1] == '{';
    const size_t begin = i + (braces ? 2 : 1);
    const size_t end = braces ? text.find('}', begin) : begin + 1;
    if (end == std::string_view::npos) continue;
    if (!braces && (!is_word(begin) || (end < text.size() && is_word(end)))) continue;
    write_plain(i);
    markup += fmt::format("<tspan dy=\"{:.4g}\" font-size=\"{:.4g}\">{}</tspan>", drop, 0.75 * size,
                          escape_html(text.substr(begin, end - begin)));
    plain = end + (braces ? 1 : 0);
  }
  write_plain(text.size());
  return markup;
}

double text_width(std::string_view text, double size) {
  return kAdvance * size * static_cast<double>(character_count(text));
}

std::vector<std::string> wrap_text(std::string_view text, double size, double width) {
  std::vector<std::string> lines;
  bool fresh = true;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find_first_of(" \n", begin), text.size());
    const std::string word(text.substr(begin, end - begin));
    if (fresh || text_width(lines.back() + " " + word, size) > width) {
      lines.push_back(word);
    } else {
      lines.back() += " " + word;
    }
    fresh = end < text.size() && text[end] == '\n';
    begin = end + 1;
  }
  return lines;
}

}  // namespace ddpm
