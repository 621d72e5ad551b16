// Shared latents (DDPM figure 7): several samples from one x_t. What they have in common was
// decided before t.
#include <algorithm>

#include "experiments/figures/figure.h"
#include "experiments/figures/steps.h"

namespace ddpm {
namespace {

class SharedLatentsFigure final : public Figure {
 public:
  explicit SharedLatentsFigure(const Config& config)
      : latents_(config.integer("latents", 2, 1, 32, "chains that give their x_t")),
        samples_(config.integer("samples", 9, 1, 64, "samples of each x_t")),
        depths_(config.integers("depths", std::vector<int64_t>{}, 1, kMaxInteger,
                                "the t of the rows; empty: T, 3/4 T, T/2, T/4, T/8")) {}

  void draw(const FigureContext& context) const override {
    const LoadedRun& run = context.run;
    const DiffusionModel& model = *run.model;
    const Sampler& sampler = *run.config->sampler;
    const int64_t total = model.process.timesteps();
    const std::vector<int64_t> depths =
        checked_depths(depths_, total,
                       {total, std::max<int64_t>(1, total * 3 / 4), std::max<int64_t>(1, total / 2),
                        std::max<int64_t>(1, total / 4), std::max<int64_t>(1, total / 8)});
    const std::vector<Sampler::Visit> visited = sampler.visits(model.process);
    const int64_t steps = static_cast<int64_t>(visited.size()), size = model.image_shape.numel();
    const int64_t rows = static_cast<int64_t>(depths.size());
    PictureGrid grid = picture_grid(run, latents_ * rows, samples_ + 1);

    std::vector<int64_t> starts;  // of each depth, among the visited timesteps
    int64_t work = steps;
    for (const int64_t depth : depths) {
      starts.push_back(visited_at(visited, depth));
      work += steps - starts.back();
    }
    Ticker ticker(context.progress, "sample", work);
    // The x_t at each depth, (latents, ...), of the chains of images 0, 1, ..
    std::vector<std::vector<float>> x_t(depths.size());
    ReverseChain origin(model.process, sampler, model.inference(),
                        model.image_shape.batch_of(latents_), run.config->seed);
    origin.start(0);
    for (int64_t done = 0; done < steps; ++done) {
      for (size_t d = 0; d < depths.size(); ++d)
        if (starts[d] == done) x_t[d] = origin.x().to_host<float>();
      origin.step();
      ticker.tick();
    }

    const Shape batch = model.image_shape.batch_of(latents_ * samples_);
    ReverseChain chain(model.process, sampler, model.inference(), batch, run.config->seed);
    for (size_t d = 0; d < depths.size(); ++d) {
      std::vector<float> tiled;
      for (int64_t l = 0; l < latents_; ++l)
        for (int64_t k = 0; k < samples_; ++k)
          tiled.insert(tiled.end(), x_t[d].begin() + l * size, x_t[d].begin() + (l + 1) * size);
      const Tensor start = Tensor::from_host(tiled, batch, model.process.device());
      // Other noise than that of the chains the latents come from.
      const std::vector<float> x = decode_from(chain, start, starts[d], latents_, ticker);
      for (int64_t l = 0; l < latents_; ++l) {
        const int64_t row = l * rows + static_cast<int64_t>(d);
        place(grid, row, 0, &x_t[d][static_cast<size_t>(l * size)]);
        for (int64_t k = 0; k < samples_; ++k)
          place(grid, row, k + 1, &x[static_cast<size_t>((l * samples_ + k) * size)]);
      }
    }
    for (int64_t l = 0; l < latents_; ++l) {
      for (const int64_t start : starts)
        grid.row_labels.push_back("t = " + depth_of(visited[static_cast<size_t>(start)]));
      grid.wide_after_row.push_back((l + 1) * rows - 1);
    }
    grid.column_labels.assign(static_cast<size_t>(grid.columns), "");
    grid.column_labels[0] = "x_t";
    grid.x_axis = "x_t, and samples of p(x_0 | x_t)";
    grid.wide_after_column = {0};
    context.files.pictures(
        {.title = "Samples that share a latent",
         .caption =
             "Each row: one x_t of a chain, and samples that all start from it with their own "
             "noise. The smaller t, the more they share."},
        grid);
  }

 private:
  int64_t latents_, samples_;
  std::vector<int64_t> depths_;
};

}  // namespace

std::unique_ptr<Figure> make_shared_latents_figure(const Config& config) {
  return std::make_unique<SharedLatentsFigure>(config);
}

}  // namespace ddpm
