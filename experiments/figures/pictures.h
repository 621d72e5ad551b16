// PictureGrid: images in rows and columns with labels, drawn as a plain PNG of the pixels and as an
// SVG with titles and axes around them.
#pragma once

#include <string>
#include <vector>

#include "experiments/figures/page.h"
#include "framework/core/shape.h"

namespace ddpm {

struct PictureGrid {
  int64_t rows = 0, columns = 0;
  Shape image_shape;          // (H, W, C), C = 1, 3 or 4
  int levels = 256;           // of grey; 0 (continuous data) is shown with 256
  std::vector<float> images;  // (rows, columns, H, W, C) on [-1, 1], clipped
  std::vector<std::string> row_labels = {}, column_labels = {};  // one each, or none
  std::string x_axis = {}, y_axis = {};
  std::vector<int64_t> wide_after_row = {}, wide_after_column = {};  // wider gaps after these
};

// Whether data of this shape have pictures at all: points have none.
bool has_pictures(const Shape& image_shape);

// Small images are enlarged by a whole factor.
Image grid_pixels(const PictureGrid& grid);
std::string draw_pictures(const FigureText& text, const PictureGrid& grid);

}  // namespace ddpm
