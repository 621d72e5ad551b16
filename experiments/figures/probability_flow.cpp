// Held-out images taken to their x_T by the probability flow and back (Song et al. 2021b, section
// 4.3), at several tolerances of the adaptive integration: how well they come back, and at how many
// evaluations of the network.
#include "diffusion/probability_flow.h"

#include <algorithm>
#include <cmath>

#include "diffusion/host_values.h"
#include "experiments/figures/figure.h"
#include "experiments/runner/interrupt.h"

namespace ddpm {
namespace {

double mean_of(const std::vector<int64_t>& counts) {
  double sum = 0;
  for (const int64_t n : counts) sum += static_cast<double>(n);
  return sum / static_cast<double>(counts.size());
}

class ProbabilityFlowFigure final : public Figure {
 public:
  explicit ProbabilityFlowFigure(const Config& config)
      : images_(config.integer("images", 8, 1, 4096, "held-out images, a row each")),
        tolerances_(config.numbers("tolerances", std::vector<double>{1e-2, 1e-3, 1e-4, 1e-5}, 0, 1,
                                   "atol and rtol of the integration, a column each",
                                   Exclude::kMin)) {
    std::sort(tolerances_.rbegin(), tolerances_.rend());
    tolerances_.erase(std::unique(tolerances_.begin(), tolerances_.end()), tolerances_.end());
    if (tolerances_.empty()) config.error("tolerances", "is empty");
  }

  void draw(const FigureContext& context) const override {
    const LoadedRun& run = context.run;
    const DiffusionModel& model = *run.model;
    const auto columns = static_cast<int64_t>(tolerances_.size());
    PictureGrid grid = picture_grid(run, images_, 2 + columns);
    const Tensor images = example_images(run, images_);
    const std::vector<double> sources = read_values(images);
    const Model network = model.inference();

    if (context.progress) context.progress->begin("probability flow", 200 * columns);
    int64_t ways = 0;
    const auto observer = [&](double share) {
      if (context.progress)
        context.progress->update(100 * ways + static_cast<int64_t>(100 * share));
      if (interrupt_signal()) throw Interrupted("the figure was interrupted");
    };
    std::vector<std::vector<std::string>> rows;
    std::string errors;
    for (int64_t column = 0; column < columns; ++column) {
      const double tolerance = tolerances_[static_cast<size_t>(column)];
      ProbabilityFlow flow(model.process, network, images.shape(),
                           {.atol = tolerance, .rtol = tolerance}, "figure probability_flow");
      const NoiseLevel first = flow.levels().first(), last = flow.levels().last();
      const OdeSolution there = flow.transport(sources, first, last, observer);
      ++ways;
      const OdeSolution back = flow.transport(there.y, last, first, observer);
      ++ways;
      place_column(grid, 2 + column, {back.y.begin(), back.y.end()});
      if (column + 1 == columns) place_column(grid, 1, {there.y.begin(), there.y.end()});
      const double error = root_mean_square(sources, back.y);
      rows.push_back({csv_number(tolerance), csv_number(mean_of(there.evaluations)),
                      csv_number(mean_of(back.evaluations)), csv_number(error)});
      errors +=
          fmt::format("{}{:.1g}: {:.2g} ({:.0f} + {:.0f} evaluations)", column == 0 ? "" : ", ",
                      tolerance, error, mean_of(there.evaluations), mean_of(back.evaluations));
    }
    if (context.progress) context.progress->end();
    place_column(grid, 0, images.to_host<float>());
    grid.column_labels = {"source", "x_T"};
    for (const double tolerance : tolerances_)
      grid.column_labels.push_back(fmt::format("{:.1g}", tolerance));
    grid.x_axis = "tolerance of the integration, both ways";
    grid.wide_after_column = {0, 1};
    context.files.set_source(source_of(run, /*with_weights=*/true, "probability flow, both ways"));
    context.files.pictures(
        {.title = "Images taken to their x_T by the probability flow, and back",
         .caption = fmt::format("Held-out images, their x_T at the smallest tolerance, and what "
                                "comes back. Root mean square error on [-1, 1] by tolerance: {}.",
                                errors)},
        grid);
    context.files.csv({"tolerance", "evaluations_there", "evaluations_back", "rms_error"}, rows);
  }

 private:
  static double root_mean_square(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return std::sqrt(sum / static_cast<double>(a.size()));
  }

  int64_t images_;
  std::vector<double> tolerances_;
};

}  // namespace

std::unique_ptr<Figure> make_probability_flow_figure(const Config& config) {
  return std::make_unique<ProbabilityFlowFigure>(config);
}

}  // namespace ddpm
