// The forward process in numbers: beta_t, alpha_bar_t and the signal-to-noise ratio over t.
#include <cmath>

#include "experiments/figures/figure.h"

namespace ddpm {
namespace {

class ScheduleFigure final : public Figure {
 public:
  void draw(const FigureContext& context) const override {
    const DiffusionTables& tables = context.run.model->process.tables();
    Series beta{"β_t (fixed_large)", {}},
        beta_tilde{"β̃_t (fixed_small)", {}, {}, Marks::kDashedLine};
    Series alpha_bar{"ᾱ_t", {}}, signal{"√ᾱ_t, weight of x_0", {}},
        noise{"√(1 − ᾱ_t), weight of ε", {}};
    Series snr{"ᾱ_t / (1 − ᾱ_t)", {}};
    std::vector<std::vector<std::string>> rows;
    for (int i = 0; i < tables.timesteps(); ++i) {
      const double t = i + 1;  // diffusion steps, as the paper counts
      beta.points.emplace_back(t, tables.beta[i]);
      beta_tilde.points.emplace_back(t, i == 0 ? NAN : tables.posterior_variance[i]);
      alpha_bar.points.emplace_back(t, tables.alpha_bar[i]);
      signal.points.emplace_back(t, tables.signal[i]);
      noise.points.emplace_back(t, tables.noise[i]);
      snr.points.emplace_back(t, tables.snr[i]);
      rows.push_back({std::to_string(i + 1), csv_number(tables.beta[i]),
                      csv_number(tables.posterior_variance[i]), csv_number(tables.alpha_bar[i]),
                      csv_number(tables.signal[i]), csv_number(tables.noise[i]),
                      csv_number(tables.snr[i])});
    }
    context.files.chart(
        {.title = "Noise schedule",
         .caption = fmt::format(
             "T = {} steps of x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε. What is left of the data in x_T: "
             "ᾱ_T = {:.4g}.",
             tables.timesteps(), tables.alpha_bar.back())},
        {{.title = "Variances of a step", .x = "t", .y = "variance", .series = {beta, beta_tilde}},
         {.title = "What is left of the image",
          .x = "t",
          .y = "weight",
          .series = {alpha_bar, signal, noise}},
         {.title = "Signal-to-noise ratio", .x = "t", .y = "SNR", .log_y = true, .series = {snr}}});
    context.files.csv({"t", "beta", "beta_tilde", "alpha_bar", "signal", "noise", "snr"}, rows);
  }
};

}  // namespace

std::unique_ptr<Figure> make_schedule_figure(const Config&) {
  return std::make_unique<ScheduleFigure>();
}

}  // namespace ddpm
