// Figure: one of the pictures that papers on diffusion show of a model, by name.
//
//   draw_figure({.name = "interpolation", .run = "runs/celeba", .settings = {"figure.pairs=4"}});
//
// leaves RUN/figures/interpolation.svg (titles, axes, legend), its pictures alone as .png, and the
// numbers behind it as .csv or .h5. Equal runs and settings give equal bytes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "experiments/figures/chart.h"
#include "experiments/figures/pictures.h"
#include "experiments/runner/loaded_run.h"
#include "experiments/runner/progress_sink.h"
#include "experiments/runner/result.h"
#include "framework/config/registry.h"

namespace ddpm {

// Where the files of a figure go. Folders are made with the first file.
class FigureFiles {
 public:
  FigureFiles(std::string folder, std::string name);

  // `source` follows the text's own.
  void chart(FigureText text, const std::vector<Panel>& panels, int columns = 3);
  // Also writes the pixels and, as f32, the images themselves.
  void pictures(FigureText text, const PictureGrid& grid);
  // Cells are written as they are: see csv_number.
  void csv(const std::vector<std::string>& columns,
           const std::vector<std::vector<std::string>>& rows);

  void set_source(std::string source) { source_ = std::move(source); }
  const std::vector<std::string>& written() const { return written_; }

 private:
  void write(const char* extension, std::string_view text);
  std::string path(const char* extension);

  std::string folder_, name_, source_;
  std::vector<std::string> written_;
};

// "Run a: data digits, step 3000, weights ema (decay 0.995), sampler ddim (50 steps), seed 0." With
// `sampler` in the place of the run's own, if it is not empty.
std::string source_of(const LoadedRun& run, bool with_weights = true,
                      const std::string& sampler = {});

struct FigureContext {
  LoadedRun& run;
  FigureFiles& files;
  ProgressSink* progress;
};

// A grid of such images of the run, all zero. Throws a UserError when the run's data have no
// pictures.
PictureGrid picture_grid(const LoadedRun& run, int64_t rows, int64_t columns);
// Writes an image (H, W, C), or one after the other down a column: (rows, H, W, C).
void place(PictureGrid& grid, int64_t row, int64_t column, const float* image);
void place_column(PictureGrid& grid, int64_t column, const std::vector<float>& images);
// The first held-out images, or training images where none are held out: (count, H, W, C).
Tensor example_images(const LoadedRun& run, int64_t count);

// Of a run, drawn by draw(); or of mathematics alone: then it needs no run and has draw_alone().
class Figure {
 public:
  virtual ~Figure() = default;
  virtual bool needs_run() const { return true; }
  virtual void draw(const FigureContext&) const {}
  virtual void draw_alone(FigureFiles&) const {}
};

const Registry<Figure>& figures();
// "pairs, depths": the keys of `figure` that a figure reads.
std::vector<std::string> figure_settings(const std::string& name);

struct FigureRequest {
  std::string name, run;                    // a figure that needs no run takes none
  std::string checkpoint = {}, out = {};    // out: a folder; empty: RUN/figures, or figures
  std::vector<std::string> overrides = {};  // figure.*, and those of LoadedRun
  ProgressSink* progress = nullptr;
};

// Returns the files written.
std::vector<std::string> draw_figure(const FigureRequest& request);

}  // namespace ddpm
