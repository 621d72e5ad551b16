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
    for (const Line& line : kLines) {
      const auto in_points = measure(points, line), in_images = measure(images, line);
      const std::string label =
          fmt::format("{}: {:.2f}, {:.2f}", line.label, slope(in_points), slope(in_images));
      of_points.series.push_back(series(label, in_points));
      of_images.series.push_back(series(label, in_images));
      for (size_t i = 0; i < in_points.size(); ++i)
        rows.push_back({line.label, std::to_string(in_points[i].evaluations),
                        csv_number(in_points[i].error), csv_number(in_images[i].error)});
    }
    files.chart(
        {.title = "Orders of the samplers",
         .caption = fmt::format(
             "Root mean square distance to the exact flow from the same x_T. In the legend: "
             "the order observed from {} evaluations on, in points and in images.",
             kAsymptotic),
         .source = "Gaussian mixtures with their exact denoiser; T = 1000, linear betas."},
        {of_points, of_images});
    files.csv({"sampler", "evaluations", "error_points", "error_images"}, rows);
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
