// The same noise through the raw weights and through each of their running averages.
#include <algorithm>

#include "experiments/figures/figure.h"
#include "experiments/runner/sampling.h"

namespace ddpm {
namespace {

class EmaComparisonFigure final : public Figure {
 public:
  explicit EmaComparisonFigure(const Config& config)
      : images_(config.integer("images", 10, 1, 256, "columns of images")) {}

  void draw(const FigureContext& context) const override {
    LoadedRun& run = context.run;
    const std::vector<double>& decays = run.info.average_decay;
    DDPM_CHECK(!decays.empty(), "figure ema_comparison: {} holds no averages", run.checkpoint);
    PictureGrid grid = picture_grid(run, static_cast<int64_t>(decays.size()) + 1, images_);
    std::vector<std::pair<double, std::string>> rows = {{0, "raw"}};  // by decay
    const std::vector<std::string> names = weight_names(decays.size());
    for (size_t i = 0; i < decays.size(); ++i) rows.emplace_back(decays[i], names[i + 1]);
    std::sort(rows.begin(), rows.end());
    for (size_t r = 0; r < rows.size(); ++r) {
      const auto& [decay, weights] = rows[r];
      load_weights(run.checkpoint, weights, run.model->parameters);
      const std::vector<float> x =
          draw_samples(*run.model, *run.config->sampler, run.config->seed, 0, images_,
                       run.config->sampling.batch_size, context.progress);
      for (int64_t i = 0; i < images_; ++i)
        place(grid, static_cast<int64_t>(r), i,
              &x[static_cast<size_t>(i * grid.image_shape.numel())]);
      grid.row_labels.push_back(weights == "raw" ? weights : fmt::format("decay {}", decay));
    }
    context.files.set_source(source_of(run, /*with_weights=*/false));
    context.files.pictures(
        {.title = "Averages of the weights",
         .caption =
             "Samples of the weights as trained and of their running averages, from the same "
             "x_T and the same noise in every column."},
        grid);
  }

 private:
  int64_t images_;
};

}  // namespace

std::unique_ptr<Figure> make_ema_comparison_figure(const Config& config) {
  return std::make_unique<EmaComparisonFigure>(config);
}

}  // namespace ddpm
