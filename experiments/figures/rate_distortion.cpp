// Rate and distortion (DDPM figure 5 and table 4): what the receiver of progressive coding knows
// after each step of the reverse process, bits spent and the error of its estimate of x_0.
#include <cmath>

#include "experiments/figures/bound_pass.h"

namespace ddpm {
namespace {

// Table 4: CIFAR-10 test set, T = 1000.
constexpr struct {
  int step;  // reverse steps, T - t + 1 in the paper's count
  double rate, rmse;
} kPaper[] = {{1000, 1.77581, 0.95136}, {900, 0.11994, 12.02277}, {800, 0.05415, 18.47482},
              {700, 0.02866, 24.43656}, {600, 0.01507, 30.80948}, {500, 0.00716, 38.03236},
              {400, 0.00282, 46.12765}, {300, 0.00081, 54.18826}, {200, 0.00013, 60.97170},
              {100, 0.00000, 67.60125}};

class RateDistortionFigure final : public Figure {
 public:
  explicit RateDistortionFigure(const Config& config)
      : images_(config.integer("images", 64, 1, kMaxInteger, "of each split")) {}

  void draw(const FigureContext& context) const override {
    const LoadedRun& run = context.run;
    const int timesteps = run.model->process.timesteps();
    const std::string own = own_variance(run);
    const std::string unit = run.dataset.levels > 0 ? "RMSE on [0, 255]" : "RMSE";
    Panel distortion{.title = "Distortion", .x = "reverse process steps", .y = unit};
    Panel rate{.title = "Rate", .x = "reverse process steps", .y = "bits per dimension"};
    Panel both{.title = "Rate against distortion", .x = "rate, bits per dimension", .y = unit};
    const auto add = [&](const Series& like, Panel& panel, double x, double y) {
      if (panel.series.empty() || panel.series.back().label != like.label)
        panel.series.push_back(like);
      panel.series.back().points.emplace_back(x, y);
    };
    std::vector<std::vector<std::string>> rows;
    std::string summary;
    for (const SplitBound& bound : measure_bounds(context, images_)) {
      for (const VariationalBound& b : bound.report.bounds) {
        if (!b.clip_denoised) continue;
        const Series label{.label = fmt::format("{}, {}", bound.split, b.variance),
                           .marks = bound.split == "test" ? Marks::kLine : Marks::kDashedLine};
        std::vector<double> terms, errors;
        for (int t = 0; t < timesteps; ++t) {
          terms.push_back(b.terms[static_cast<size_t>(t)].mean());
          errors.push_back(bound.report.rmse(t));
        }
        int step = 0;
        for (const auto& [spent, rmse] :
             rate_distortion(bound.report.prior.mean(), terms, errors)) {
          ++step;
          if (b.variance == own) {
            add(label, distortion, step, rmse);
            add(label, rate, step, spent);
            add(label, both, spent, rmse);
          }
          rows.push_back(
              {bound.split, b.variance, std::to_string(step), csv_number(spent), csv_number(rmse)});
        }
        if (b.variance == own)
          summary += fmt::format(
              " {}: rate {:.4g} ± {:.2g}, distortion {:.4g} ± {:.2g} bits per dimension, RMSE "
              "{:.3f}.",
              bound.split == "test" ? "Test" : "Train", b.rate.mean(), b.rate.standard_error(),
              b.distortion.mean(), b.distortion.standard_error(), bound.report.rmse(0));
      }
    }
    if (run.dataset.name == "cifar10" && timesteps == 1000) {
      const Series paper{.label = "Ho et al. 2020, table 4 (test)", .marks = Marks::kDots};
      for (const auto& p : kPaper) {
        add(paper, distortion, p.step, p.rmse);
        add(paper, rate, p.step, p.rate);
        add(paper, both, p.rate, p.rmse);
        rows.push_back(
            {"test", "paper", std::to_string(p.step), csv_number(p.rate), csv_number(p.rmse)});
      }
    }
    context.files.chart({.title = "Rate and distortion of progressive coding",
                         .caption = "Bits spent and error of the receiver's estimate of x_0 as the "
                                    "reverse process goes on." +
                                    summary,
                         .source = fmt::format("{} images of each split.", images_)},
                        {distortion, rate, both});
    context.files.csv({"split", "variance", "reverse_steps", "rate_bits_per_dim", "rmse"}, rows);
  }

 private:
  int64_t images_;
};

}  // namespace

std::unique_ptr<Figure> make_rate_distortion_figure(const Config& config) {
  return std::make_unique<RateDistortionFigure>(config);
}

}  // namespace ddpm
