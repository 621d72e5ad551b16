// Samples as files, written batch by batch: a grid to look at, or what other programs score.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "framework/core/shape.h"
#include "framework/io/npy.h"

namespace ddpm {

class SampleExport {
 public:
  // `out` ends in .png: one grid of all; in .npz: "arr_0", u8 (count, H, W, C), as published
  // evaluators read it; otherwise: a folder of PNGs, 000000.png and so on. Grey levels are
  // stretched to 0 .. 255. Throws a UserError, before anything is written, when the data have no
  // such form: pictures have 1, 3 or 4 channels, and neither form holds continuous values.
  // `columns` of the grid; 0: about a square.
  SampleExport(std::string out, int64_t count, const Shape& image_shape, int levels,
               int64_t columns = 0);

  void add(const std::vector<float>& samples);  // the next images, (n, H, W, C) on [-1, 1]
  // What was written, once all images are there.
  std::vector<std::string> finish();

 private:
  enum class Kind { kGrid, kArchive, kFolder };

  std::string out_;
  Kind kind_;
  int64_t count_, written_ = 0;
  Shape image_shape_;
  int levels_;
  int64_t columns_;
  std::vector<float> grid_;             // of a grid, which is made at once
  std::unique_ptr<NpzWriter> archive_;  // of an archive
  std::vector<std::string> files_;      // of a folder
};

}  // namespace ddpm
