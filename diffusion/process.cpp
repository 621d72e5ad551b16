#include "diffusion/process.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "diffusion/host_values.h"
#include "diffusion/schedules/zero_terminal_snr.h"
#include "framework/ops/concat.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/losses.h"
#include "framework/ops/timestep.h"

namespace ddpm {

DiffusionTables DiffusionVariant::tables() const {
  const std::vector<double> betas = schedule->betas(timesteps);
  return DiffusionTables(zero_terminal_snr ? with_zero_terminal_snr(betas) : betas);
}

GaussianDiffusion::GaussianDiffusion(DiffusionVariant variant, int levels, DType dtype,
                                     Device device)
    : variant_(std::move(variant)),
      tables_(variant_.tables()),
      levels_(levels),
      dtype_(dtype),
      device_(device) {
  DDPM_CHECK(levels == 0 || levels >= 2, "diffusion: {} grey levels", levels);
  if (const char* objection = variant_.loss->objection(variance()))
    fail_user("diffusion: {}", objection);

  signal_ = upload(tables_.signal);
  noise_ = upload(tables_.noise);
  posterior_x0_ = upload(tables_.posterior_x0);
  posterior_xt_ = upload(tables_.posterior_xt);
  posterior_log_variance_ = upload(tables_.posterior_log_variance);

  // A table from a number per timestep.
  const auto table = [this](auto&& at) {
    std::vector<double> values;
    for (int t = 0; t < timesteps(); ++t) values.push_back(at(t));
    return upload(values);
  };
  const auto coefficients = [this](int t) { return parameterization().at(tables_, t); };
  target_x0_ = table([&](int t) { return coefficients(t).target_x0; });
  target_epsilon_ = table([&](int t) { return coefficients(t).target_epsilon; });
  x0_from_xt_ = table([&](int t) { return coefficients(t).x0_from_xt; });
  x0_from_output_ = table([&](int t) { return coefficients(t).x0_from_output; });
  // The posterior mean of that x_0 in one map, combined in double: for previous_mean it is the
  // output itself, and nothing is amplified and shrunk again in f32.
  mean_from_xt_ = table([&](int t) {
    return tables_.posterior_xt[t] + tables_.posterior_x0[t] * coefficients(t).x0_from_xt;
  });
  const auto mean_from_output = [&](int t) {
    return tables_.posterior_x0[t] * coefficients(t).x0_from_output;
  };
  mean_from_output_ = table(mean_from_output);
  target_spread_ =
      table([&](int t) { return std::sqrt(tables_.posterior_variance[t]) / mean_from_output(t); });
  const std::vector<double> weights =
      output_weights(*variant_.weighting, parameterization(), tables_);
  if (std::any_of(weights.begin(), weights.end(), [](double w) { return w != 1; }))
    weight_ = upload(weights);
  variance_offset_ = table([&](int t) { return variance().at(tables_, t).offset; });
  variance_slope_ = table([&](int t) { return variance().at(tables_, t).slope; });
}

GaussianDiffusion GaussianDiffusion::respaced(const std::vector<int>& visited) const {
  struct Given : Schedule {
    std::vector<double> values;
    std::vector<double> betas(int) const override { return values; }
  };
  const auto schedule = std::make_shared<Given>();
  double previous = 1;
  for (const int t : visited) {
    const double alpha_bar = tables_.alpha_bar.at(static_cast<size_t>(t));
    schedule->values.push_back(1 - alpha_bar / previous);
    previous = alpha_bar;
  }
  DiffusionVariant variant = variant_;
  variant.timesteps = static_cast<int>(visited.size());
  variant.schedule = schedule;
  variant.zero_terminal_snr = false;
  return GaussianDiffusion(std::move(variant), levels_, dtype_, device_);
}

Tensor GaussianDiffusion::upload(const std::vector<double>& table) const {
  return write_values(table, {static_cast<int64_t>(table.size())}, dtype_, device_);
}

Tensor GaussianDiffusion::q_sample(const Tensor& x0, const Tensor& t, const Tensor& noise) const {
  return timestep_mix(signal_, x0, noise_, noise, t);
}

Normal GaussianDiffusion::q_posterior(const Tensor& x0, const Tensor& x_t, const Tensor& t) const {
  return {timestep_mix(posterior_x0_, x0, posterior_xt_, x_t, t),
          timestep_fill(posterior_log_variance_, t, x0.shape())};
}

Tensor GaussianDiffusion::target(const Tensor& x0, const Tensor& noise, const Tensor& t) const {
  return timestep_mix(target_x0_, x0, target_epsilon_, noise, t);
}

Tensor GaussianDiffusion::drawn_target(const Tensor& x0, const Tensor& noise,
                                       const Tensor& second_noise, const Tensor& t) const {
  return add(target(x0, noise, t), timestep_scale(target_spread_, second_noise, t));
}

Tensor GaussianDiffusion::weighted_error(const Tensor& prediction, const Tensor& target,
                                         const Tensor& t) const {
  const Tensor error = squared_error(prediction, target);
  return weight_ ? timestep_scale(weight_, error, t) : error;
}

Tensor GaussianDiffusion::training_losses(const Loss& loss, const Model& model, const Tensor& x0,
                                          const Tensor& t, const Tensor& noise,
                                          const Tensor& second_noise) const {
  DDPM_ASSERT(second_noise || !loss.needs_second_noise(), "the loss needs a second noise");
  const Tensor x_t = q_sample(x0, t, noise);
  const Output output = split(model(x_t, t), x_t);
  return loss({.process = *this,
               .x0 = x0,
               .t = t,
               .noise = noise,
               .x_t = x_t,
               .second_noise = second_noise,
               .prediction = output.prediction,
               .variance_output = output.variance});
}

GaussianDiffusion::Output GaussianDiffusion::split(const Tensor& output, const Tensor& x_t) const {
  const int64_t channels = x_t.shape()[-1];
  DDPM_ASSERT(output.shape() == x_t.shape().with_inner(output_channels(channels)),
              "the network maps {} to {}", x_t.shape(), output.shape());
  if (!variance().learned()) return {output, Tensor()};
  auto [prediction, variance_output] = split_channels(output, channels);
  return {prediction, variance_output};
}

Tensor GaussianDiffusion::x0(const Tensor& prediction, const Tensor& x_t, const Tensor& t) const {
  return timestep_mix(x0_from_xt_, x_t, x0_from_output_, prediction, t);
}

Tensor GaussianDiffusion::mean(const Tensor& prediction, const Tensor& x_t, const Tensor& t) const {
  return timestep_mix(mean_from_xt_, x_t, mean_from_output_, prediction, t);
}

Tensor GaussianDiffusion::log_variance(const Tensor& variance_output, const Tensor& t,
                                       const Shape& shape) const {
  const Tensor offset = timestep_fill(variance_offset_, t, shape);
  if (!variance().learned()) return offset;
  return add(offset, timestep_scale(variance_slope_, variance_output, t));
}

GaussianDiffusion::Reverse GaussianDiffusion::p_mean_variance(const Tensor& output,
                                                              const Tensor& x_t, const Tensor& t,
                                                              bool clip_denoised) const {
  const auto [prediction, variance_output] = split(output, x_t);
  Reverse p;
  p.log_variance = log_variance(variance_output, t, x_t.shape());
  p.x0 = x0(prediction, x_t, t);
  if (clip_denoised) p.x0 = clamp(p.x0, -1, 1);
  p.mean = clip_denoised && parameterization().clip_moves_mean() ? q_posterior(p.x0, x_t, t).mean
                                                                 : mean(prediction, x_t, t);
  return p;
}

Tensor GaussianDiffusion::bound_term(const Tensor& x0, const Tensor& x_t, const Tensor& t,
                                     const Normal& model) const {
  const Normal q = q_posterior(x0, x_t, t);
  const Tensor decoder = levels_ > 0
                             ? discretized_normal_nll(x0, model.mean, model.log_variance, levels_)
                             : normal_nll(x0, model.mean, model.log_variance);
  const Tensor kl = normal_kl(q.mean, q.log_variance, model.mean, model.log_variance);
  return where_first_timestep(t, decoder, kl);
}

Tensor GaussianDiffusion::prior_term(const Tensor& x0) const {
  const Tensor zero = full(x0.shape(), 0, dtype_, device_);
  const int last = timesteps() - 1;
  return normal_kl(scale(x0, tables_.signal[last]),
                   full(x0.shape(), tables_.noise_log_variance[last], dtype_, device_), zero, zero);
}

}  // namespace ddpm
