// Progressive generation (DDPM figure 6): the estimate of x_0 as the reverse process goes on.
#include <algorithm>

#include "experiments/figures/figure.h"
#include "experiments/figures/steps.h"

namespace ddpm {
namespace {

class ProgressiveGenerationFigure final : public Figure {
 public:
  explicit ProgressiveGenerationFigure(const Config& config)
      : images_(config.integer("images", 6, 1, 256, "rows of images")),
        columns_(config.integer("columns", 11, 2, 64, "steps that are shown")) {}

  void draw(const FigureContext& context) const override {
    const LoadedRun& run = context.run;
    const DiffusionModel& model = *run.model;
    const std::vector<Sampler::Visit> visited = run.config->sampler->visits(model.process);
    const int64_t steps = static_cast<int64_t>(visited.size());
    const std::vector<int64_t> shown = evenly_spaced(1, steps, columns_);
    PictureGrid grid = picture_grid(run, images_, static_cast<int64_t>(shown.size()));

    ReverseChain chain(model.process, *run.config->sampler, model.inference(),
                       model.image_shape.batch_of(images_), run.config->seed);
    Ticker ticker(context.progress, "sample", steps);
    sample(chain, 0, [&](int64_t done, const ReverseChain& c) {
      ticker.tick();
      const auto found = std::find(shown.begin(), shown.end(), done);
      if (found == shown.end()) return;
      place_column(grid, found - shown.begin(), c.x0().to_host<float>());
      grid.column_labels.push_back(depth_of(visited[static_cast<size_t>(done - 1)]));
    });
    grid.x_axis = "t of the x_t that the estimate is made from";
    context.files.pictures({.title = "Progressive generation",
                            .caption = "The estimate of x_0 over the reverse process: large-scale "
                                       "features appear first, details last. The last column is "
                                       "the sample."},
                           grid);
  }

 private:
  int64_t images_, columns_;
};

}  // namespace

std::unique_ptr<Figure> make_progressive_generation_figure(const Config& config) {
  return std::make_unique<ProgressiveGenerationFigure>(config);
}

}  // namespace ddpm
