// The variance of a batch's gradient by how its timesteps are drawn, at equal compute: the same
// images and noise, the run's own loss and weights.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "experiments/figures/batch_gradient.h"
#include "experiments/figures/figure.h"
#include "experiments/figures/steps.h"

namespace ddpm {
namespace {

double relative_error(const Estimate& e) { return e.standard_error() / e.mean(); }

class TimestepVarianceFigure final : public Figure {
 public:
  explicit TimestepVarianceFigure(const Config& config)
      : batches_(config.integers("batches", std::vector<int64_t>{16, 32, 64, 128}, 1, 65536,
                                 "sizes of a batch")),
        pairs_(config.integer("pairs", 64, 2, 100000, "of batches, for each size")) {}

  void draw(const FigureContext& context) const override {
    LoadedRun& run = context.run;
    run.model->parameters.allocate_training(/*averages=*/0);
    const std::vector<std::string> names = timestep_samplers().names();
    Ticker ticker(context.progress, "gradients",
                  std::ssize(names) * std::ssize(batches_) * pairs_ * 2);
    std::vector<std::vector<std::string>> rows;
    std::vector<Series> variances, ratios;
    std::vector<Estimate> uniform;  // by size: the first of the samplers
    for (const std::string& name : names) {
      const auto sampler = learned(run, name);
      Series variance{.label = name}, ratio{.label = name};
      for (size_t i = 0; i < batches_.size(); ++i) {
        const GradientMoments moments = measure(run, *sampler, batches_[i], ticker);
        if (uniform.size() < batches_.size()) uniform.push_back(moments.variance);
        const auto size = static_cast<double>(batches_[i]);
        variance.points.emplace_back(size, moments.variance.mean());
        variance.error.push_back(moments.variance.standard_error());
        ratio.points.emplace_back(size, moments.variance.mean() / uniform[i].mean());
        ratio.error.push_back(
            ratio.points.back().second *
            std::hypot(relative_error(moments.variance), relative_error(uniform[i])));
        const auto add = [&](const char* quantity, const Estimate& e) {
          rows.push_back({std::to_string(batches_[i]), name, quantity, csv_number(e.mean()),
                          csv_number(e.standard_error())});
        };
        add("variance", moments.variance);
        add("squared_mean", moments.squared_mean);
      }
      variances.push_back(std::move(variance));
      ratios.push_back(std::move(ratio));
    }
    context.files.chart(
        {.title = "Variance of the gradient by the draw of timesteps",
         .caption = "Sum over all weights; bands are one standard error. Every sampler sees the "
                    "same images and noise, and loss_second_moment has learned from every timestep "
                    "before. A gradient that "
                    "few timesteps dominate needs many pairs.",
         .source = fmt::format("{} pairs of batches for each size, no dropout.", pairs_)},
        {{.title = "Variance",
          .x = "images in a batch",
          .y = "variance of the gradient",
          .log_x = true,
          .log_y = true,
          .series = variances},
         {.title = "Ratio",
          .x = "images in a batch",
          .y = "variance / that of uniform draws",
          .log_x = true,
          .log_y = true,
          .series = ratios}});
    context.files.csv({"batch", "timestep_sampler", "quantity", "mean", "standard_error"}, rows);
  }

 private:
  // The sampler in the middle of a training: it has seen losses of this model at every timestep.
  static std::unique_ptr<TimestepSampler> learned(const LoadedRun& run, const std::string& name) {
    const GaussianDiffusion& process = run.model->process;
    auto sampler = timestep_samplers().make(name);
    sampler->prepare(process.timesteps(), process.device());
    constexpr int kRounds = 10;  // the length of the history
    constexpr int kRows = 256;
    for (int round = 0; round < kRounds && !sampler->memory().counts.empty(); ++round)
      for (int first = 0; first < process.timesteps(); first += kRows) {
        std::vector<int32_t> steps(
            static_cast<size_t>(std::min(kRows, process.timesteps() - first)));
        std::iota(steps.begin(), steps.end(), first);
        const Tensor t = Tensor::from_host(steps, {std::ssize(steps)}, process.device());
        // Batches of their own: those that are measured come before.
        const int64_t batch = (int64_t{1} << 24) + round * process.timesteps() + first;
        sampler->observe(t, batch_losses(run, process.loss(), t, batch));
      }
    return sampler;
  }

  GradientMoments measure(LoadedRun& run, TimestepSampler& sampler, int64_t images,
                          Ticker& ticker) const {
    GradientMoments moments;
    for (int64_t pair = 0; pair < pairs_; ++pair) {
      const auto gradient = [&](int64_t batch) {
        ticker.tick();
        return batch_gradient(run, run.model->process.loss(),
                              sampler.draw(batch_stream(run, "figure/timestep", batch), images),
                              batch);
      };
      const std::vector<float> first = gradient(2 * pair);
      moments.add(first, gradient(2 * pair + 1));
    }
    return moments;
  }

  std::vector<int64_t> batches_;
  int64_t pairs_;
};

}  // namespace

std::unique_ptr<Figure> make_timestep_variance_figure(const Config& config) {
  return std::make_unique<TimestepVarianceFigure>(config);
}

}  // namespace ddpm
