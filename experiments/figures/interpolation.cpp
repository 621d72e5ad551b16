// Interpolation (DDPM section 4.4, figures 8 and 9): two held-out images are taken t steps into the
// forward process, mixed there, (1 - lambda) x_t + lambda x′_t, and brought back.
//
// The paper keeps the noise of q for all lambda, "so x_t and x'_t remain the same"; so do we. Of
// two more noises it says nothing, and both are settings. The reverse process has its own for each
// lambda, or one for all (figure.shared_reverse_noise): then lambda alone moves the images. Both
// endpoints have their own, as q says, and a mixture has too little of it, (1 - lambda)^2 +
// lambda^2 of the variance; or both have the same (figure.endpoint_noise=shared).
#include "diffusion/noise_levels.h"
#include "experiments/figures/figure.h"
#include "experiments/figures/steps.h"
#include "framework/ops/elementwise.h"
#include "framework/random/random.h"

namespace ddpm {
namespace {

class InterpolationFigure final : public Figure {
 public:
  explicit InterpolationFigure(const Config& config)
      : pairs_(config.integer("pairs", 2, 1, 32, "pairs of held-out images")),
        lambdas_(config.integer("lambdas", 9, 2, 65, "values of lambda from 0 to 1")),
        depths_(config.integers("depths", std::vector<int64_t>{}, 0, kMaxInteger,
                                "the t of the rows; empty: 0, T/8, T/4, T/2, 3/4 T, T")),
        shared_endpoints_(config.choice("endpoint_noise", "independent", {"independent", "shared"},
                                        "of the two images of a pair") == "shared"),
        shared_reverse_(config.boolean("shared_reverse_noise", false,
                                       "one noise of the reverse process for all lambda")) {}

  void draw(const FigureContext& context) const override {
    const LoadedRun& run = context.run;
    const DiffusionModel& model = *run.model;
    const int64_t total = model.process.timesteps();
    const std::vector<int64_t> depths =
        checked_depths(depths_, total, {0, total / 8, total / 4, total / 2, total * 3 / 4, total});
    const std::vector<Sampler::Visit> visited = run.config->sampler->visits(model.process);
    const int64_t rows = static_cast<int64_t>(depths.size()), size = model.image_shape.numel();
    PictureGrid grid = picture_grid(run, pairs_ * rows, lambdas_ + 2);
    const Tensor images = example_images(run, 2 * pairs_);  // the pairs' first, then their second
    const std::vector<float> sources = images.to_host<float>();

    int64_t work = 0;
    for (const int64_t depth : depths)
      if (depth > 0) work += static_cast<int64_t>(visited.size()) - visited_at(visited, depth);
    Ticker ticker(context.progress, "interpolate", work);
    // Row (lambda, pair) of the batch; each pair has its own noise.
    const Shape batch = model.image_shape.batch_of(lambdas_ * pairs_);
    ReverseChain chain(model.process, *run.config->sampler, model.inference(), batch,
                       run.config->seed, shared_reverse_ ? lambdas_ : 1);
    for (size_t d = 0; d < depths.size(); ++d) {
      const int64_t start = visited_at(visited, depths[d]);
      const Sampler::Visit visit =
          depths[d] == 0 ? Sampler::Visit{-1} : visited[static_cast<size_t>(start)];
      std::vector<float> mixed = mix(visit.t < 0 ? sources : encode(run, images, visit.t));
      if (visit.t >= 0)
        mixed =
            decode_from(chain, Tensor::from_host(mixed, batch, images.device()), start, 0, ticker);
      for (int64_t pair = 0; pair < pairs_; ++pair) {
        const int64_t row = pair * rows + static_cast<int64_t>(d);
        place(grid, row, 0, &sources[static_cast<size_t>(pair * size)]);
        for (int64_t l = 0; l < lambdas_; ++l)
          place(grid, row, l + 1, &mixed[static_cast<size_t>((l * pairs_ + pair) * size)]);
        place(grid, row, lambdas_ + 1, &sources[static_cast<size_t>((pairs_ + pair) * size)]);
      }
      grid.row_labels.push_back("t = " + depth_of(visit));
    }
    finish(context, grid, rows);
  }

 private:
  double lambda(int64_t i) const {
    return static_cast<double>(i) / static_cast<double>(lambdas_ - 1);
  }

  // x_t ~ q(x_t | x_0) of the images, on the host.
  std::vector<float> encode(const LoadedRun& run, const Tensor& images, double t) const {
    Tensor noise = Tensor::like(images);
    const RandomStream stream{run.config->seed, random_site("figure/interpolation"),
                              random_counter(0, 0, images.device())};
    if (shared_endpoints_) {
      Tensor first = noise.slice(0, pairs_);
      fill_normal(stream, first);
      noise.slice(pairs_, 2 * pairs_).copy_from(first);
    } else {
      fill_normal(stream, noise);
    }
    const NoiseLevel at = NoiseLevels(run.model->process.tables()).at_time(t);
    return add(scale(images, at.signal), scale(noise, at.noise)).to_host<float>();
  }

  // (2, pairs, ...) -> (lambdas, pairs, ...)
  std::vector<float> mix(const std::vector<float>& ends) const {
    const size_t half = ends.size() / 2;
    std::vector<float> mixed;
    for (int64_t l = 0; l < lambdas_; ++l)
      for (size_t i = 0; i < half; ++i)
        mixed.push_back(static_cast<float>((1 - lambda(l)) * ends[i] + lambda(l) * ends[half + i]));
    return mixed;
  }

  void finish(const FigureContext& context, PictureGrid& grid, int64_t depths) const {
    const std::vector<std::string> labels = grid.row_labels;
    grid.row_labels.clear();
    for (int64_t pair = 0; pair < pairs_; ++pair) {
      grid.row_labels.insert(grid.row_labels.end(), labels.begin(), labels.end());
      grid.wide_after_row.push_back((pair + 1) * depths - 1);
    }
    grid.column_labels = {"source"};
    for (int64_t l = 0; l < lambdas_; ++l)
      grid.column_labels.push_back(fmt::format("{:.3g}", lambda(l)));
    grid.column_labels.emplace_back("source");
    grid.wide_after_column = {0, lambdas_};
    grid.x_axis = "λ";
    grid.y_axis = "diffusion steps before mixing";
    context.files.pictures(
        {.title = "Interpolation of held-out images",
         .caption = fmt::format(
             "(1 − λ) x_t + λ x′_t, decoded by the reverse process. Noise of the two images: {}; "
             "noise of the reverse process: {}. t = 0 mixes pixels; large t invents.",
             shared_endpoints_ ? "the same" : "independent, and the same for all λ",
             shared_reverse_ ? "the same for all λ" : "independent")},
        grid);
  }

  int64_t pairs_, lambdas_;
  std::vector<int64_t> depths_;
  bool shared_endpoints_, shared_reverse_;
};

}  // namespace

std::unique_ptr<Figure> make_interpolation_figure(const Config& config) {
  return std::make_unique<InterpolationFigure>(config);
}

}  // namespace ddpm
