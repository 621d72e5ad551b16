// The variance of the gradient that a batch gives, under the loss with one noise and under the loss
// with two (losses/two_noise.h), whose expectation is the same.
#include <algorithm>
#include <cmath>

#include "experiments/figures/batch_gradient.h"
#include "experiments/figures/figure.h"
#include "experiments/figures/steps.h"
#include "framework/ops/timestep.h"

namespace ddpm {
namespace {

constexpr const char* kLosses[] = {"simple", "two_noise"};

class GradientVarianceFigure final : public Figure {
 public:
  explicit GradientVarianceFigure(const Config& config)
      : images_(config.integer("images", 32, 1, 65536, "in a batch")),
        pairs_(config.integer("pairs", 16, 2, 100000, "of batches, for each t")),
        timesteps_(config.integer("timesteps", 10, 1, 1000, "at most, evenly spaced in log t")) {}

  void draw(const FigureContext& context) const override {
    LoadedRun& run = context.run;
    for (const char* loss : kLosses)
      if (const char* objection = losses().make(loss)->objection(run.model->process.variance()))
        fail_user("figure gradient_variance: {}: {}", run.folder.path(), objection);
    run.model->parameters.allocate_training(/*averages=*/0);

    const std::vector<int32_t> steps = log_spaced(run.model->process.timesteps());
    Ticker ticker(context.progress, "gradients",
                  (static_cast<int64_t>(steps.size()) + 1) * pairs_ * 4);
    std::vector<std::vector<std::string>> rows;
    Series variances[] = {{.label = "one noise (simple)"}, {.label = "two noises (two_noise)"}};
    Series signal{.label = "square of the mean", .marks = Marks::kDashedLine};
    Series ratio{.label = "two noises / one noise", .marks = Marks::kDots};
    for (const int32_t step : steps) {
      const std::vector<GradientMoments> moments = measure(run, step, ticker);
      add_rows(std::to_string(step + 1), moments, rows);
      for (size_t i = 0; i < moments.size(); ++i) {
        variances[i].points.emplace_back(step + 1, moments[i].variance.mean());
        variances[i].error.push_back(moments[i].variance.standard_error());
      }
      signal.points.emplace_back(step + 1, moments[0].squared_mean.mean());
      ratio.points.emplace_back(step + 1, moments[1].variance.mean() / moments[0].variance.mean());
    }
    const std::vector<GradientMoments> over_all = measure(run, kUniform, ticker);
    add_rows("uniform", over_all, rows);
    const auto number = [](const Estimate& e) {
      return fmt::format("{:.3g} (standard error {:.1g})", e.mean(), e.standard_error());
    };
    context.files.chart(
        {.title = "Variance of the gradient",
         .caption = fmt::format(
             "Sum over all weights, of batches of {} images at one t; bands are one standard "
             "error. "
             "With t uniform, as in training: {} with one noise, {} with two, where the square of "
             "the mean is {}.",
             images_, number(over_all[0].variance), number(over_all[1].variance),
             number(over_all[0].squared_mean)),
         .source = fmt::format("{} pairs of batches for each t, no dropout.", pairs_)},
        {{.title = "Variance",
          .x = "t, diffusion steps",
          .y = "variance of the gradient",
          .log_x = true,
          .log_y = true,
          .series = {variances[0], variances[1], signal}},
         {.title = "Ratio",
          .x = "t, diffusion steps",
          .y = "variance with two noises / with one",
          .log_x = true,
          .log_y = true,
          .series = {ratio}}});
    context.files.csv({"t", "loss", "quantity", "mean", "standard_error"}, rows);
  }

 private:
  static constexpr int32_t kUniform = -1;

  // Of {0, ..., T - 1}; both ends.
  std::vector<int32_t> log_spaced(int total) const {
    std::vector<int32_t> steps;
    for (int64_t i = 0; i < timesteps_; ++i) {
      const double place = timesteps_ == 1 ? 1 : static_cast<double>(i) / (timesteps_ - 1);
      steps.push_back(static_cast<int32_t>(std::lround(std::pow(total, place))) - 1);
    }
    steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
    return steps;
  }

  // Both losses see the same batches: the same images, timesteps and first noise.
  std::vector<GradientMoments> measure(LoadedRun& run, int32_t step, Ticker& ticker) const {
    std::vector<GradientMoments> moments(std::size(kLosses));
    for (int64_t pair = 0; pair < pairs_; ++pair)
      for (size_t i = 0; i < moments.size(); ++i) {
        const auto gradient = [&](int64_t batch) {
          ticker.tick();
          return batch_gradient(run, *losses().make(kLosses[i]), timesteps_of(run, step, batch),
                                batch);
        };
        const std::vector<float> first = gradient(2 * pair);
        moments[i].add(first, gradient(2 * pair + 1));
      }
    return moments;
  }

  TimestepDraw timesteps_of(const LoadedRun& run, int32_t step, int64_t batch) const {
    if (step != kUniform) return {same_timestep(step, images_, run.model->process.device()), {}};
    return {uniform_timesteps(batch_stream(run, "figure/timestep", batch), images_,
                              run.model->process.timesteps()),
            {}};
  }

  static void add_rows(const std::string& t, const std::vector<GradientMoments>& moments,
                       std::vector<std::vector<std::string>>& rows) {
    for (size_t i = 0; i < moments.size(); ++i) {
      const auto add = [&](const char* quantity, const Estimate& estimate) {
        rows.push_back({t, kLosses[i], quantity, csv_number(estimate.mean()),
                        csv_number(estimate.standard_error())});
      };
      add("variance", moments[i].variance);
      add("squared_mean", moments[i].squared_mean);
    }
  }

  int64_t images_, pairs_, timesteps_;
};

}  // namespace

std::unique_ptr<Figure> make_gradient_variance_figure(const Config& config) {
  return std::make_unique<GradientVarianceFigure>(config);
}

}  // namespace ddpm
