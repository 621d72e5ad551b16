// The orders of the samplers: error against evaluations of the network, with the exact denoiser of
// Gaussian mixtures in the network's place and their exact probability flow for the truth.
#include "diffusion/solver_bench.h"
#include "experiments/figures/figure.h"

namespace ddpm {
namespace {

struct Line {
  const char *label, *settings;
};
constexpr Line kLines[] = {
    {"DDIM", R"("name": "ddim", "stride": "trailing")"},
    {"DPM-Solver-2", R"("name": "dpm_solver", "order": 2)"},
    {"DPM-Solver-3", R"("name": "dpm_solver", "order": 3)"},
    {"DPM-Solver++ 2M", R"("name": "dpm_solver++", "method": "2m")"},
    {"DPM-Solver++ 3M", R"("name": "dpm_solver++", "method": "3m")"},
    {"UniPC-2", R"("name": "unipc", "order": 2)"},
    {"Heun", R"("name": "heun")"},
};
// Of the adaptive flow, which has no number of steps.
constexpr const char* kAdaptive = "Dormand-Prince 5(4)";
constexpr double kTolerances[] = {1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10};
// 6 k + 1: singlestep solvers divide them without a rest, after the evaluation that ends at x_0.
constexpr int kEvaluations[] = {7, 13, 25, 49, 97, 193, 385, 769};
constexpr int64_t kAsymptotic = 97;  // slopes are of what lies from here on

class SolverOrdersFigure final : public Figure {
 public:
  bool needs_run() const override { return false; }
  void draw_alone(FigureFiles& files) const override {
    const SolverBench points = SolverBench::points(), images = SolverBench::images();
    Panel of_points = panel("Points in the plane"), of_images = panel("4 × 4 images");
    std::vector<std::vector<std::string>> rows;
    const auto add = [&](const char* name, const Results& in_points, const Results& in_images) {
      const std::string label =
          fmt::format("{}: {:.2f}, {:.2f}", name, slope(in_points), slope(in_images));
      of_points.series.push_back(series(label, in_points));
      of_images.series.push_back(series(label, in_images));
      for (const auto& [data, results] :
           {std::pair("points", in_points), std::pair("images", in_images)})
        for (const auto& [evaluations, error] : results)
          rows.push_back({name, data, std::to_string(evaluations), csv_number(error)});
    };
    for (const Line& line : kLines) add(line.label, measure(points, line), measure(images, line));
    add(kAdaptive, measure_adaptive(points), measure_adaptive(images));
    files.chart(
        {.title = "Orders of the samplers",
         .caption = fmt::format(
             "Root mean square distance to the exact flow from the same x_T. In the legend: "
             "the order observed from {} evaluations on, in points and in images. "
             "Dormand-Prince chooses its steps: a mark is a tolerance, from 1e-2 to 1e-10.",
             kAsymptotic),
         .source = "Gaussian mixtures with their exact denoiser; T = 1000, linear betas."},
        {of_points, of_images});
    files.csv({"sampler", "data", "evaluations", "error"}, rows);
  }

 private:
  using Results = std::vector<SolverBench::Result>;

  static Panel panel(const char* title) {
    return {.title = title,
            .x = "evaluations of the network",
            .y = "error",
            .log_x = true,
            .log_y = true};
  }

  static Results measure(const SolverBench& bench, const Line& line) {
    Results results;
    for (const int steps : kEvaluations) {
      const Config config(ConfigSource::parse_text(
          fmt::format(R"({{"sampler": {{{}, "steps": {}, "clip_denoised": false}}}})",
                      line.settings, steps),
          line.label));
      results.push_back(bench.measure(*read_sampler(config)));
    }
    return results;
  }

  static Results measure_adaptive(const SolverBench& bench) {
    Results results;
    for (const double tolerance : kTolerances) {
      const Config config(ConfigSource::parse_text(
          fmt::format(R"({{"atol": {0}, "rtol": {0}}})", tolerance), kAdaptive));
      results.push_back(bench.measure(OdeSampler(config)));
    }
    return results;
  }

  static double slope(const Results& results) {
    Results late;
    for (const auto& result : results)
      if (result.evaluations >= kAsymptotic) late.push_back(result);
    return observed_order(late);
  }

  static Series series(const std::string& label, const Results& results) {
    Series line{label};
    for (const auto& [evaluations, error] : results)
      line.points.emplace_back(static_cast<double>(evaluations), error);
    return line;
  }
};

}  // namespace

std::unique_ptr<Figure> make_solver_orders_figure(const Config&) {
  return std::make_unique<SolverOrdersFigure>();
}

}  // namespace ddpm
