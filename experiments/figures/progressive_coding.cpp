// Progressive coding (DDPM section 4.3): what a receiver shows while x_T, .., x_0 of held-out
// images arrive, and the bits spent until then, image by image.
#include "diffusion/progressive_coding.h"

#include <algorithm>
#include <cmath>

#include "diffusion/likelihood.h"
#include "experiments/figures/figure.h"
#include "experiments/figures/steps.h"

namespace ddpm {
namespace {

class ProgressiveCodingFigure final : public Figure {
 public:
  explicit ProgressiveCodingFigure(const Config& config)
      : images_(config.integer("images", 6, 1, 64, "rows of images")),
        columns_(config.integer("columns", 11, 2, 64, "steps that are shown")) {}

  void draw(const FigureContext& context) const override {
    const LoadedRun& run = context.run;
    const DiffusionModel& model = *run.model;
    const int timesteps = model.process.timesteps();
    const std::vector<int64_t> shown = evenly_spaced(timesteps, 0, columns_);
    PictureGrid grid = picture_grid(run, images_, static_cast<int64_t>(shown.size()));
    const int64_t size = model.image_shape.numel();
    const Tensor x0 = example_images(run, images_);
    const std::vector<float> truth = x0.to_host<float>();
    const double unit = rmse_scale_of(run.dataset.levels);

    std::vector<std::vector<std::string>> rows;
    Ticker ticker(context.progress, "code", timesteps + 1);
    code_progressively(
        model.process, model.inference(), x0, run.config->seed, 0, /*clip_denoised=*/true,
        [&](const ReceivedStep& step) {
          ticker.tick();
          const std::vector<float> estimate = step.x0.to_host<float>();
          double mean_bits = 0;
          for (int64_t n = 0; n < images_; ++n) {
            double squares = 0;
            for (int64_t i = n * size; i < (n + 1) * size; ++i)
              squares += std::pow(static_cast<double>(estimate[i]) - truth[i], 2);
            rows.push_back({std::to_string(n), std::to_string(step.t + 1), csv_number(step.bits[n]),
                            csv_number(unit * std::sqrt(squares / static_cast<double>(size)))});
            mean_bits += step.bits[n] / static_cast<double>(images_);
          }
          const auto found = std::find(shown.begin(), shown.end(), step.t + 1);
          if (found == shown.end()) return;
          place_column(grid, found - shown.begin(), estimate);
          grid.column_labels.push_back(fmt::format("t = {}\n{:.2g}", step.t + 1, mean_bits));
        });
    grid.x_axis = "received until x_t, and bits per dimension spent until then (mean of the rows)";
    grid.wide_after_column = {grid.columns - 2};
    context.files.pictures(
        {.title = "Progressive lossy coding of held-out images",
         .caption = "The receiver's estimate of x_0 while x_T, .., x_1 and at last x_0 itself "
                    "(t = 0, lossless) arrive. Bits are KL(q || p), the expected length without "
                    "the overhead of coding (algorithms 3 and 4)."},
        grid);
    context.files.csv({"image", "t", "bits_per_dim", "rmse"}, rows);
  }

 private:
  int64_t images_, columns_;
};

}  // namespace

std::unique_ptr<Figure> make_progressive_coding_figure(const Config& config) {
  return std::make_unique<ProgressiveCodingFigure>(config);
}

}  // namespace ddpm
