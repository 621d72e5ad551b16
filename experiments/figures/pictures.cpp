#include "experiments/figures/pictures.h"

#include <algorithm>

#include "experiments/runner/sampling.h"
#include "framework/core/check.h"

namespace ddpm {
namespace {

constexpr int64_t kGap = 2, kWideGap = 10;
constexpr int64_t kSmallSide = 48;  // pixels that an image is enlarged to, at least about
constexpr double kLargestShown = 128;
constexpr double kLabel = 10.5, kLabelLine = 13;

int64_t zoom_of(const Shape& image) {
  return std::clamp<int64_t>(kSmallSide / std::min(image[0], image[1]), 1, 8);
}

// Where each row or column begins, and where the last one ends.
std::vector<int64_t> places(int64_t count, int64_t side, const std::vector<int64_t>& wide_after) {
  std::vector<int64_t> begins = {0};
  for (int64_t i = 0; i < count; ++i) {
    const bool wide = std::find(wide_after.begin(), wide_after.end(), i) != wide_after.end();
    begins.push_back(begins.back() + side + (i + 1 == count ? 0 : wide ? kWideGap : kGap));
  }
  return begins;
}

struct Layout {
  explicit Layout(const PictureGrid& grid)
      : zoom(zoom_of(grid.image_shape)),
        height(grid.image_shape[0] * zoom),
        width(grid.image_shape[1] * zoom),
        tops(places(grid.rows, height, grid.wide_after_row)),
        lefts(places(grid.columns, width, grid.wide_after_column)) {}
  int64_t zoom, height, width;  // of one image
  std::vector<int64_t> tops, lefts;
};

}  // namespace

bool has_pictures(const Shape& image_shape) {
  const int64_t c = image_shape[2];
  return (c == 1 || c == 3 || c == 4) && image_shape[0] > 1 && image_shape[1] > 1;
}

Image grid_pixels(const PictureGrid& grid) {
  const int64_t h = grid.image_shape[0], w = grid.image_shape[1], c = grid.image_shape[2];
  DDPM_ASSERT(static_cast<int64_t>(grid.images.size()) == grid.rows * grid.columns * h * w * c,
              "{} values for {} x {} images {}", grid.images.size(), grid.rows, grid.columns,
              grid.image_shape);
  const Layout layout(grid);
  const std::vector<uint8_t> pixels = display_pixels(grid.images, grid.levels);
  Image image{{layout.tops.back(), layout.lefts.back(), c}, {}};
  image.pixels.assign(static_cast<size_t>(image.shape.numel()), 255);
  for (int64_t i = 0; i < grid.rows * grid.columns; ++i) {
    const int64_t top = layout.tops[i / grid.columns], left = layout.lefts[i % grid.columns];
    for (int64_t y = 0; y < layout.height; ++y)
      for (int64_t x = 0; x < layout.width; ++x)
        std::copy_n(&pixels[((i * h + y / layout.zoom) * w + x / layout.zoom) * c], c,
                    &image.pixels[((top + y) * image.shape[1] + left + x) * c]);
  }
  return image;
}

std::string draw_pictures(const FigureText& text, const PictureGrid& grid) {
  const Layout layout(grid);
  const double side = static_cast<double>(std::max(layout.width, layout.height));
  const double scale = std::min(1.0, kLargestShown / side);
  const double cell_width = scale * static_cast<double>(layout.width);
  const double cell_height = scale * static_cast<double>(layout.height);

  double left = grid.y_axis.empty() ? 0 : 20, label_width = 0;
  for (const std::string& label : grid.row_labels)
    label_width = std::max(label_width, text_width(label, kLabel));
  left += label_width > 0 ? label_width + 8 : 0;
  size_t label_lines = 0;
  std::vector<std::vector<std::string>> heads;
  for (const std::string& label : grid.column_labels) {
    heads.push_back(wrap_text(label, kLabel, cell_width + static_cast<double>(kGap)));
    label_lines = std::max(label_lines, heads.back().size());
  }
  const double heads_height = kLabelLine * static_cast<double>(label_lines);
  const double top = (grid.x_axis.empty() ? 0 : 18) + (label_lines > 0 ? heads_height + 6 : 0);
  const double width = scale * static_cast<double>(layout.lefts.back());
  const double height = scale * static_cast<double>(layout.tops.back());

  return draw_page(text, left + width, top + height, [&](Svg& svg, double x, double y) {
    const double grid_x = x + left, grid_y = y + top;
    if (!grid.x_axis.empty())
      svg.text(grid_x + width / 2, y + 11, grid.x_axis, {.anchor = Anchor::kMiddle});
    if (!grid.y_axis.empty())
      svg.text(x + 11, grid_y + height / 2, grid.y_axis,
               {.anchor = Anchor::kMiddle, .rotation = -90});
    for (size_t i = 0; i < heads.size(); ++i) {
      const double middle = grid_x + scale * static_cast<double>(layout.lefts[i]) + cell_width / 2;
      double line_y = grid_y - 6 - kLabelLine * static_cast<double>(heads[i].size() - 1);
      for (const std::string& line : heads[i]) {
        svg.text(middle, line_y, line,
                 {.size = kLabel, .anchor = Anchor::kMiddle, .color = kMuted});
        line_y += kLabelLine;
      }
    }
    for (size_t i = 0; i < grid.row_labels.size(); ++i) {
      const double middle = grid_y + scale * static_cast<double>(layout.tops[i]) + cell_height / 2;
      svg.text(grid_x - 8, middle + 4, grid.row_labels[i],
               {.size = kLabel, .anchor = Anchor::kEnd, .color = kMuted});
    }
    svg.image({grid_x, grid_y, width, height}, grid_pixels(grid));
  });
}

}  // namespace ddpm
