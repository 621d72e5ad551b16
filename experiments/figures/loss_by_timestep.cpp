// The loss at each timestep: the squared error of the network's prediction, which L_simple weighs
// equally over t, and the terms of the bound, which are what it costs.
#include <cmath>

#include "experiments/figures/bound_pass.h"

namespace ddpm {
namespace {

class LossByTimestepFigure final : public Figure {
 public:
  explicit LossByTimestepFigure(const Config& config)
      : images_(config.integer("images", 64, 1, kMaxInteger, "of each split")) {}

  void draw(const FigureContext& context) const override {
    const GaussianDiffusion& process = context.run.model->process;
    Panel simple{.title = "Squared error of the prediction",
                 .x = "t, diffusion steps",
                 .y = "mean squared error",
                 .log_x = true,
                 .log_y = true};
    const std::string own = own_variance(context.run);
    Panel variational{.title = fmt::format("Terms of the bound, variance {}", own),
                      .x = "t, diffusion steps",
                      .y = "L_{t-1}, bits per dimension",
                      .log_x = true,
                      .log_y = true};
    std::vector<std::vector<std::string>> rows;
    for (const SplitBound& bound : measure_bounds(context, images_)) {
      const Marks marks = bound.split == "test" ? Marks::kLine : Marks::kDashedLine;
      Series error{.label = bound.split, .marks = marks};
      for (int t = 0; t < process.timesteps(); ++t) {
        // The prediction is linear in x_0: error in the one is error in the other.
        const double scale = process.parameterization().at(process.tables(), t).x0_from_output;
        const Estimate& x0 = bound.report.reconstructions[1].squared_error[static_cast<size_t>(t)];
        error.points.emplace_back(t + 1, x0.mean() / (scale * scale));
        error.error.push_back(x0.standard_error() / (scale * scale));
        rows.push_back({bound.split, std::to_string(t + 1), "prediction_mse",
                        csv_number(error.points.back().second), csv_number(error.error.back())});
      }
      simple.series.push_back(std::move(error));
      for (const VariationalBound& b : bound.report.bounds) {
        if (!b.clip_denoised) continue;
        Series terms{.label = bound.split, .marks = marks};
        for (int t = 0; t < process.timesteps(); ++t) {
          const Estimate& term = b.terms[static_cast<size_t>(t)];
          terms.points.emplace_back(t + 1, term.mean());
          terms.error.push_back(term.standard_error());
          rows.push_back({bound.split, std::to_string(t + 1), "bound_" + b.variance,
                          csv_number(term.mean()), csv_number(term.standard_error())});
        }
        if (b.variance == own) variational.series.push_back(std::move(terms));
      }
    }
    context.files.chart(
        {.title = "Loss by timestep",
         .caption = "L_{simple} gives every t the same weight; the bound is dominated by the first "
                    "steps. Bands are one standard error over images; x_0 is clipped in the terms "
                    "of the bound, the term of t = 1 is the decoder's.",
         .source = fmt::format("{} images of each split.", images_)},
        {simple, variational});
    context.files.csv({"split", "t", "quantity", "mean", "standard_error"}, rows);
  }

 private:
  int64_t images_;
};

}  // namespace

std::unique_ptr<Figure> make_loss_by_timestep_figure(const Config& config) {
  return std::make_unique<LossByTimestepFigure>(config);
}

}  // namespace ddpm
