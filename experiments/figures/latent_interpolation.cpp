// Interpolation of latents (DDIM section 5.3): between two x_T along the sphere, every point of the
// way decoded by a sampler that adds no noise. The ends are x_T of the seed, or those of held-out
// images, which DDIM's way back finds.
#include <algorithm>

#include "diffusion/samplers/ddim.h"
#include "diffusion/slerp.h"
#include "experiments/figures/figure.h"
#include "experiments/figures/steps.h"

namespace ddpm {
namespace {

constexpr int64_t kSteps = 50;  // of DDIM, where the run's sampler adds noise

// Keeps the run's sampler if x_T alone decides its images.
void use_deterministic_sampler(LoadedRun& run) {
  const GaussianDiffusion& process = run.model->process;
  if (run.config->sampler->is_deterministic(process)) return;
  const auto timesteps = static_cast<int64_t>(process.timesteps());
  const Config config(ConfigSource::parse_text(
      fmt::format(R"({{"sampler": {{"name": "ddim", "steps": {}}}}})", std::min(kSteps, timesteps)),
      "figure"));
  run.config->sampler = read_sampler(config);
  run.sampler_name = "ddim";
}

class LatentInterpolationFigure final : public Figure {
 public:
  explicit LatentInterpolationFigure(const Config& config)
      : pairs_(config.integer("pairs", 6, 1, 256, "pairs of latents, a row each")),
        lambdas_(config.integer("lambdas", 9, 2, 65, "values of lambda from 0 to 1")),
        encoded_(config.choice("endpoints", "drawn", {"drawn", "encoded"},
                               "x_T of the seed, or of held-out images by DDIM's way back") ==
                 "encoded") {}

  void draw(const FigureContext& context) const override {
    LoadedRun& run = context.run;
    use_deterministic_sampler(run);
    const DiffusionModel& model = *run.model;
    const Sampler& sampler = *run.config->sampler;
    const auto* ddim = dynamic_cast<const DdimSampler*>(&sampler);
    DDPM_CHECK(ddim || !encoded_,
               "figure.endpoints=encoded: of all samplers ddim alone has a way back from an image "
               "to its x_T; this run's is {}",
               run.sampler_name);
    const int64_t size = model.image_shape.numel(), margin = encoded_ ? 1 : 0;
    PictureGrid grid = picture_grid(run, pairs_, lambdas_ + 2 * margin);

    // The ends of all pairs: first the left ones, then the right ones.
    std::vector<float> ends;
    const auto decoding = static_cast<int64_t>(sampler.visits(model.process).size());
    Ticker ticker(context.progress, "interpolate", decoding * (1 + margin) - margin);
    if (encoded_) {
      const Tensor images = example_images(run, 2 * pairs_);
      const std::vector<float> sources = images.to_host<float>();
      for (int64_t pair = 0; pair < pairs_; ++pair) {
        place(grid, pair, 0, &sources[static_cast<size_t>(pair * size)]);
        place(grid, pair, lambdas_ + 1, &sources[static_cast<size_t>((pairs_ + pair) * size)]);
      }
      ReverseChain there(model.process, DdimInversion(*ddim), model.inference(), images.shape(),
                         run.config->seed);
      ends = decode_from(there, images, 0, 0, ticker);
    } else {
      ReverseChain chain(model.process, sampler, model.inference(),
                         model.image_shape.batch_of(2 * pairs_), run.config->seed);
      chain.start(0);
      ends = chain.x().to_host<float>();
    }

    std::vector<float> mixed;  // (lambdas, pairs, ...)
    for (int64_t l = 0; l < lambdas_; ++l)
      for (int64_t pair = 0; pair < pairs_; ++pair) {
        const auto end = [&](int64_t i) {
          return std::span(ends).subspan(static_cast<size_t>(i * size), static_cast<size_t>(size));
        };
        const std::vector<float> x_T = slerp(end(pair), end(pairs_ + pair), lambda(l));
        mixed.insert(mixed.end(), x_T.begin(), x_T.end());
      }
    const Shape batch = model.image_shape.batch_of(lambdas_ * pairs_);
    ReverseChain chain(model.process, sampler, model.inference(), batch, run.config->seed);
    const std::vector<float> x =
        decode_from(chain, Tensor::from_host(mixed, batch, model.process.device()), 0, 0, ticker);
    for (int64_t l = 0; l < lambdas_; ++l)
      for (int64_t pair = 0; pair < pairs_; ++pair)
        place(grid, pair, l + margin, &x[static_cast<size_t>((l * pairs_ + pair) * size)]);
    finish(context, grid);
  }

 private:
  double lambda(int64_t i) const {
    return static_cast<double>(i) / static_cast<double>(lambdas_ - 1);
  }

  void finish(const FigureContext& context, PictureGrid& grid) const {
    for (int64_t l = 0; l < lambdas_; ++l)
      grid.column_labels.push_back(fmt::format("{:.3g}", lambda(l)));
    if (encoded_) {
      grid.column_labels.insert(grid.column_labels.begin(), "source");
      grid.column_labels.emplace_back("source");
      grid.wide_after_column = {0, lambdas_};
    }
    grid.x_axis = "λ";
    context.files.set_source(source_of(context.run));
    context.files.pictures(
        {.title = "Interpolation of latents",
         .caption =
             fmt::format("Along the sphere between {}, decoded without noise: x_T alone "
                         "decides the image.",
                         encoded_ ? "the x_T of two held-out images, found by DDIM's way back"
                                  : "two drawn x_T")},
        grid);
  }

  int64_t pairs_, lambdas_;
  bool encoded_;
};

}  // namespace

std::unique_ptr<Figure> make_latent_interpolation_figure(const Config& config) {
  return std::make_unique<LatentInterpolationFigure>(config);
}

}  // namespace ddpm
