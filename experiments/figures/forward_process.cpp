// The forward process in pictures: held-out images and what is left of them after more and more
// steps, each image with one noise.
#include "experiments/figures/figure.h"
#include "experiments/figures/steps.h"
#include "framework/ops/timestep.h"
#include "framework/random/random.h"

namespace ddpm {
namespace {

class ForwardProcessFigure final : public Figure {
 public:
  explicit ForwardProcessFigure(const Config& config)
      : images_(config.integer("images", 6, 1, 64, "rows of images")),
        columns_(config.integer("columns", 11, 2, 64, "numbers of steps")) {}

  void draw(const FigureContext& context) const override {
    const LoadedRun& run = context.run;
    const GaussianDiffusion& process = run.model->process;
    const std::vector<int64_t> depths = evenly_spaced(0, process.timesteps(), columns_);
    const int64_t columns = static_cast<int64_t>(depths.size());
    PictureGrid grid = picture_grid(run, images_, columns);
    const Tensor x0 = example_images(run, images_);
    Tensor noise = Tensor::like(x0);
    fill_normal({run.config->seed, random_site("figure/forward_process"),
                 random_counter(0, 0, x0.device())},
                noise);
    for (int64_t c = 0; c < columns; ++c) {
      Tensor x = x0;
      const int32_t t = static_cast<int32_t>(depths[c] - 1);
      if (t >= 0) x = process.q_sample(x0, same_timestep(t, images_, x0.device()), noise);
      place_column(grid, c, x.to_host<float>());
      grid.column_labels.push_back(fmt::format("{}", depths[c]));
    }
    grid.x_axis = "t, diffusion steps";
    context.files.pictures(
        {.title = "Forward process",
         .caption = "x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε of held-out images, with one ε in each row."},
        grid);
  }

 private:
  int64_t images_, columns_;
};

}  // namespace

std::unique_ptr<Figure> make_forward_process_figure(const Config& config) {
  return std::make_unique<ForwardProcessFigure>(config);
}

}  // namespace ddpm
