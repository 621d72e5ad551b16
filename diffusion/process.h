// GaussianDiffusion: the forward process, the reverse process that a network defines, and the terms
// of the bound between them (Ho et al. 2020, sections 2 and 3). It owns the tables, in double on
// the host and in the compute type on the device; every map below is one or two ops on device data.
//
// Tensors named x are (N, ..., C) of the compute type, t is (N) i32.
#pragma once

#include <functional>
#include <memory>

#include "diffusion/loss.h"
#include "diffusion/parameterization.h"
#include "diffusion/schedule.h"
#include "diffusion/tables.h"
#include "diffusion/variance.h"
#include "diffusion/weighting.h"

namespace ddpm {

// The network: x_t, t -> (N, ..., output_channels(C)).
using Model = std::function<Tensor(const Tensor& x_t, const Tensor& t)>;

// A normal distribution with diagonal covariance, per element.
struct Normal {
  Tensor mean, log_variance;
};

// What a configuration chooses; registry.h reads it.
struct DiffusionVariant {
  int timesteps = 1000;
  std::shared_ptr<const Schedule> schedule;
  bool zero_terminal_snr = false;
  std::shared_ptr<const Parameterization> parameterization;
  std::shared_ptr<const Variance> variance;
  std::shared_ptr<const Loss> loss;
  std::shared_ptr<const Weighting> weighting;

  DiffusionTables tables() const;
};

class GaussianDiffusion {
 public:
  // `levels` grey levels on [-1, 1] decide the decoder of x_0; 0 means continuous data, whose
  // decoder is a density.
  GaussianDiffusion(DiffusionVariant variant, int levels, DType dtype, Device device);

  int timesteps() const { return tables_.timesteps(); }
  int levels() const { return levels_; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  const DiffusionTables& tables() const { return tables_; }
  const Parameterization& parameterization() const { return *variant_.parameterization; }
  const Variance& variance() const { return *variant_.variance; }
  int64_t output_channels(int64_t image_channels) const {
    return (variance().learned() ? 2 : 1) * image_channels;
  }
  // The process of fewer steps whose noise levels are those of `visited` timesteps, rising: its
  // betas belong to the longer steps (Nichol & Dhariwal 2021, section 4; improved-diffusion's
  // respacing).
  GaussianDiffusion respaced(const std::vector<int>& visited) const;
  // (T) doubles -> a table of the compute type on the device.
  Tensor upload(const std::vector<double>& table) const;

  // Forward: q(x_t | x_0), DDPM eq. 4, and q(x_{t-1} | x_t, x_0), eqs. 6 and 7.
  Tensor q_sample(const Tensor& x0, const Tensor& t, const Tensor& noise) const;
  Normal q_posterior(const Tensor& x0, const Tensor& x_t, const Tensor& t) const;

  // Training: what the network should have said, and the loss of what it says. -> (N)
  Tensor target(const Tensor& x0, const Tensor& noise, const Tensor& t) const;
  // What it should have said to hit x_{t-1} = mu~ + sqrt(beta~) second_noise instead of mu~.
  Tensor drawn_target(const Tensor& x0, const Tensor& noise, const Tensor& second_noise,
                      const Tensor& t) const;
  const Loss& loss() const { return *variant_.loss; }
  // The mean squared error of a prediction, times the weight of its timestep. -> (N)
  Tensor weighted_error(const Tensor& prediction, const Tensor& target, const Tensor& t) const;
  // `second_noise` may be empty unless the loss needs it; another `loss` than the variant's is for
  // comparisons.
  Tensor training_losses(const Model& model, const Tensor& x0, const Tensor& t, const Tensor& noise,
                         const Tensor& second_noise = {}) const {
    return training_losses(loss(), model, x0, t, noise, second_noise);
  }
  Tensor training_losses(const Loss& loss, const Model& model, const Tensor& x0, const Tensor& t,
                         const Tensor& noise, const Tensor& second_noise = {}) const;

  // Reverse: p(x_{t-1} | x_t) from the two halves of the network's output.
  struct Output {
    Tensor prediction, variance;  // the second is empty where the variance is fixed
  };
  Output split(const Tensor& output, const Tensor& x_t) const;
  Tensor x0(const Tensor& prediction, const Tensor& x_t, const Tensor& t) const;
  Tensor mean(const Tensor& prediction, const Tensor& x_t, const Tensor& t) const;
  Tensor log_variance(const Tensor& variance_output, const Tensor& t, const Shape& shape) const;
  // All of it, with x_0 clipped to [-1, 1] on demand: DDPM's sampler and its bound clip, its
  // training does not.
  struct Reverse {
    Tensor mean, log_variance, x0;
  };
  Reverse p_mean_variance(const Tensor& output, const Tensor& x_t, const Tensor& t,
                          bool clip_denoised) const;

  // The bound, bits per dimension, (N): KL(q(x_{t-1} | x_t, x_0) || model), at t = 0 the decoder's
  // -log2 p(x_0 | x_1); and L_T = KL(q(x_T | x_0) || N(0, 1)).
  Tensor bound_term(const Tensor& x0, const Tensor& x_t, const Tensor& t,
                    const Normal& model) const;
  Tensor prior_term(const Tensor& x0) const;

 private:
  DiffusionVariant variant_;
  DiffusionTables tables_;
  int levels_;
  DType dtype_;
  Device device_;
  // On the device, (T) each.
  Tensor signal_, noise_, posterior_x0_, posterior_xt_, posterior_log_variance_;
  Tensor target_x0_, target_epsilon_, x0_from_xt_, x0_from_output_, mean_from_xt_,
      mean_from_output_, target_spread_;
  Tensor weight_;  // empty where all are 1
  Tensor variance_offset_, variance_slope_;
};

}  // namespace ddpm
