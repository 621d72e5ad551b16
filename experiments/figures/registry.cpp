// The figures by name. Each is one file of this folder.
#include "experiments/figures/figure.h"

namespace ddpm {

using MakeFigure = std::unique_ptr<Figure>(const Config& config);
MakeFigure make_ema_comparison_figure, make_forward_process_figure, make_gradient_variance_figure,
    make_interpolation_figure, make_latent_interpolation_figure, make_loss_by_timestep_figure,
    make_nearest_neighbours_figure, make_probability_flow_figure, make_progressive_coding_figure,
    make_progressive_generation_figure, make_progressive_quality_figure,
    make_rate_distortion_figure, make_reconstruction_figure, make_samples_figure,
    make_schedule_figure, make_shared_latents_figure, make_solver_orders_figure,
    make_timestep_variance_figure;

const Registry<Figure>& figures() {
  static const Registry<Figure> registry(
      "figure",
      {
          {"samples", "a grid of samples", make_samples_figure},
          {"progressive_generation", "the estimate of x_0 over the reverse process",
           make_progressive_generation_figure},
          {"progressive_quality", "its distance from the data, and with Inception its score",
           make_progressive_quality_figure},
          {"progressive_coding", "what a receiver shows, and the bits spent until then",
           make_progressive_coding_figure},
          {"rate_distortion", "rate and distortion over the steps, beside the paper's table 4",
           make_rate_distortion_figure},
          {"shared_latents", "several samples of one x_t", make_shared_latents_figure},
          {"interpolation", "between pairs of images, mixed at several depths",
           make_interpolation_figure},
          {"latent_interpolation", "between x_T, drawn or of held-out images (DDIM)",
           make_latent_interpolation_figure},
          {"reconstruction", "held-out images to x_T and back, over steps (DDIM)",
           make_reconstruction_figure},
          {"probability_flow", "held-out images to x_T and back, over tolerances (adaptive ODE)",
           make_probability_flow_figure},
          {"nearest_neighbours", "samples and the training images closest to them",
           make_nearest_neighbours_figure},
          {"forward_process", "images under more and more noise", make_forward_process_figure},
          {"schedule", "beta, alpha_bar and signal-to-noise ratio over t", make_schedule_figure},
          {"loss_by_timestep", "squared error and bound at each t", make_loss_by_timestep_figure},
          {"gradient_variance", "of the losses with one noise and with two, at each t",
           make_gradient_variance_figure},
          {"timestep_variance", "of the gradient, by how a batch's timesteps are drawn",
           make_timestep_variance_figure},
          {"solver_orders",
           "error of samplers over evaluations, against the exact flow; needs no run",
           make_solver_orders_figure},
          {"ema_comparison", "the same noise through raw and averaged weights",
           make_ema_comparison_figure},
      });
  return registry;
}

}  // namespace ddpm
