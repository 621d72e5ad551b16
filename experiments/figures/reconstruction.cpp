// Reconstruction (DDIM section 5.4, table 2): held-out images taken to their x_T by DDIM's way back
// and decoded again. The error is that of two discretised walks along the same curve.
#include <algorithm>

#include "diffusion/samplers/ddim.h"
#include "experiments/figures/figure.h"
#include "experiments/figures/steps.h"

namespace ddpm {
namespace {

constexpr int64_t kPaperSteps[] = {10, 20, 50, 100, 200, 500, 1000};

class ReconstructionFigure final : public Figure {
 public:
  explicit ReconstructionFigure(const Config& config)
      : images_(config.integer("images", 8, 1, 4096, "held-out images, a row each")),
        steps_(
            config.integers("steps", std::vector<int64_t>{}, 2, kMaxInteger,
                            "of DDIM, on each way; empty: 10, 20, 50, .. 1000 as far as T goes")) {
    std::sort(steps_.begin(), steps_.end());
    steps_.erase(std::unique(steps_.begin(), steps_.end()), steps_.end());
  }

  void draw(const FigureContext& context) const override {
    const LoadedRun& run = context.run;
    const DiffusionModel& model = *run.model;
    const std::vector<int64_t> columns = checked_steps(model.process.timesteps());
    const auto count = static_cast<int64_t>(columns.size());
    PictureGrid grid = picture_grid(run, images_, 2 + count);
    grid.column_labels = {"source"};
    const Tensor images = example_images(run, images_);
    const std::vector<float> sources = images.to_host<float>();
    place_column(grid, 0, sources);

    int64_t work = 0;
    for (const int64_t steps : columns) work += 2 * steps - 1;
    Ticker ticker(context.progress, "reconstruct", work);
    std::vector<std::vector<std::string>> rows;
    std::vector<float> latents;
    std::string errors;
    for (int64_t column = 0; column < count; ++column) {
      const int64_t steps = columns[static_cast<size_t>(column)];
      // Unclipped: a clipped step has no way back.
      const Config config(ConfigSource::parse_text(
          fmt::format(R"({{"steps": {}, "clip_denoised": false}})", steps), "figure"));
      const DdimSampler ddim(config);
      const auto chain_of = [&](const Sampler& sampler) {
        return std::make_unique<ReverseChain>(model.process, sampler, model.inference(),
                                              images.shape(), run.config->seed);
      };
      latents = decode_from(*chain_of(DdimInversion(ddim)), images, 0, 0, ticker);
      const Tensor x_T = Tensor::from_host(latents, images.shape(), images.device());
      const std::vector<float> back = decode_from(*chain_of(ddim), x_T, 0, 0, ticker);
      place_column(grid, 2 + column, back);
      const double error = squared_error(sources, back);
      rows.push_back({std::to_string(steps), std::to_string(2 * steps - 1), csv_number(error)});
      errors += fmt::format("{}{:.2g}", column == 0 ? "" : ", ", error);
    }
    place_column(grid, 1, latents);
    grid.column_labels.emplace_back("x_T");
    for (const int64_t steps : columns) grid.column_labels.push_back(std::to_string(steps));
    grid.x_axis = "steps of DDIM on each way";
    grid.wide_after_column = {0, 1};
    context.files.set_source(source_of(run, /*with_weights=*/true, "ddim, both ways"));
    context.files.pictures(
        {.title = "Images taken to their x_T and back",
         .caption = fmt::format("Held-out images, the x_T of the most steps, and what comes back. "
                                "Mean squared error of the columns on a scale of 0 to 1: {}.",
                                errors)},
        grid);
    context.files.csv({"steps", "evaluations", "squared_error"}, rows);
  }

 private:
  std::vector<int64_t> checked_steps(int64_t timesteps) const {
    for (const int64_t steps : steps_)
      DDPM_CHECK(steps <= timesteps, "figure.steps: {} of a process that has {}", steps, timesteps);
    if (!steps_.empty()) return steps_;
    std::vector<int64_t> all;
    for (const int64_t steps : kPaperSteps)
      if (steps < timesteps) all.push_back(steps);
    if (timesteps <= kPaperSteps[std::size(kPaperSteps) - 1]) all.push_back(timesteps);
    return all;
  }

  // Per dimension, with [-1, 1] scaled to [0, 1] as in the paper.
  static double squared_error(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const double d = (static_cast<double>(a[i]) - b[i]) / 2;
      sum += d * d;
    }
    return sum / static_cast<double>(a.size());
  }

  int64_t images_;
  std::vector<int64_t> steps_;
};

}  // namespace

std::unique_ptr<Figure> make_reconstruction_figure(const Config& config) {
  return std::make_unique<ReconstructionFigure>(config);
}

}  // namespace ddpm
