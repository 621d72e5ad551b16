// The figures by name. Each is one file of this folder.
#include "experiments/figures/figure.h"

namespace ddpm {

using MakeFigure = std::unique_ptr<Figure>(const Config& config);
MakeFigure make_samples_figure, make_schedule_figure;

const Registry<Figure>& figures() {
  static const Registry<Figure> registry(
      "figure",
      {
          {"samples", "a grid of samples", make_samples_figure},
          {"schedule", "beta, alpha_bar and signal-to-noise ratio over t", make_schedule_figure},
      });
  return registry;
}

}  // namespace ddpm
