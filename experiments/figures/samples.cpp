// Samples of a run: the images that `ddpm sample` draws, with titles around them.
#include "experiments/figures/figure.h"
#include "experiments/runner/sampling.h"

namespace ddpm {
namespace {

class SamplesFigure final : public Figure {
 public:
  explicit SamplesFigure(const Config& config)
      : rows_(config.integer("rows", 8, 1, 256, "rows of images")),
        columns_(config.integer("columns", 8, 1, 256, "images in a row")) {}

  void draw(const FigureContext& context) const override {
    const LoadedRun& run = context.run;
    PictureGrid grid = picture_grid(run, rows_, columns_);
    grid.images = draw_samples(*run.model, *run.config->sampler, run.config->seed, 0,
                               rows_ * columns_, run.config->sampling.batch_size, context.progress);
    context.files.pictures(
        {.title = "Samples",
         .caption = fmt::format("{} samples, not selected: images 0 to {} of the seed.",
                                rows_ * columns_, rows_ * columns_ - 1)},
        grid);
  }

 private:
  int64_t rows_, columns_;
};

}  // namespace

std::unique_ptr<Figure> make_samples_figure(const Config& config) {
  return std::make_unique<SamplesFigure>(config);
}

}  // namespace ddpm
