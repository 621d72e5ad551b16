#include "diffusion/samplers/ddim.h"

#include <algorithm>
#include <cmath>

#include "framework/ops/elementwise.h"
#include "framework/ops/timestep.h"

namespace ddpm {

DdimCoefficients ddim_coefficients(double alpha_bar_t, double alpha_bar_s, double eta) {
  const double rest_t = 1 - alpha_bar_t, rest_s = 1 - alpha_bar_s;
  const double sigma = eta * std::sqrt(rest_s / rest_t * (1 - alpha_bar_t / alpha_bar_s));
  const double xt = std::sqrt(std::max(0.0, rest_s - sigma * sigma) / rest_t);
  return {std::sqrt(alpha_bar_s) - xt * std::sqrt(alpha_bar_t), xt, sigma};
}

DdimSampler::DdimSampler(const Config& config)
    : steps_(config.integer("steps", 50, 2, 1000000, "number of reverse steps")),
      eta_(config.number("eta", 0, 0, 1, "0: no noise; 1: the noise of ancestral sampling")),
      stride_(config.choice("stride", "uniform", {"uniform", "quadratic"},
                            "spacing of the visited timesteps; the DDIM paper uses quadratic for "
                            "CIFAR-10 and uniform elsewhere")),
      sigma_hat_(config.boolean("sigma_hat", false,
                                "eta = 1 with the larger noise sqrt(1 - alpha_bar_t / alpha_bar_s) "
                                "of DDPM's fixed_large")),
      clip_denoised_(config.boolean("clip_denoised", true, "clip x_0 to [-1, 1] in every step")) {}

std::vector<int32_t> DdimSampler::timesteps(const GaussianDiffusion& process) const {
  const int64_t total = process.timesteps();
  DDPM_CHECK(steps_ <= total, "sampler ddim: {} steps of a process that has {}", steps_, total);
  std::vector<int32_t> visited;
  for (int64_t i = 0; i < steps_; ++i) {
    const double root = std::sqrt(0.8 * static_cast<double>(total)) * static_cast<double>(i) /
                        static_cast<double>(steps_ - 1);
    visited.push_back(
        static_cast<int32_t>(stride_ == "uniform" ? i * total / steps_ : std::floor(root * root)));
  }
  // The quadratic stride lingers at the end; a step from t to t changes nothing.
  visited.erase(std::unique(visited.begin(), visited.end()), visited.end());
  std::reverse(visited.begin(), visited.end());
  return visited;
}

Sampler::StepFunction DdimSampler::step(const GaussianDiffusion& process) const {
  const std::vector<double>& alpha_bar = process.tables().alpha_bar;
  const std::vector<int32_t> visited = timesteps(process);
  std::vector<double> x0(alpha_bar.size()), xt(alpha_bar.size()), sigma(alpha_bar.size());
  for (size_t i = 0; i < visited.size(); ++i) {
    const int32_t t = visited[i];
    const bool last = i + 1 == visited.size();
    const double alpha_bar_s = last ? 1 : alpha_bar[visited[i + 1]];
    const DdimCoefficients c = ddim_coefficients(alpha_bar[t], alpha_bar_s, sigma_hat_ ? 1 : eta_);
    x0[t] = c.x0;
    xt[t] = c.xt;
    sigma[t] = !sigma_hat_ ? c.sigma : last ? 0 : std::sqrt(1 - alpha_bar[t] / alpha_bar_s);
  }
  const bool noisy = sigma_hat_ || eta_ > 0;
  return [&process, clip = clip_denoised_, noisy, from_x0 = process.upload(x0),
          from_xt = process.upload(xt), deviation = process.upload(sigma)](
             const Tensor& output, const Tensor& x_t, const Tensor& t, const Tensor& noise) {
    Tensor estimate = process.x0(process.split(output, x_t).prediction, x_t, t);
    if (clip) estimate = clamp(estimate, -1, 1);
    Tensor x = timestep_mix(from_x0, estimate, from_xt, x_t, t);
    if (noisy) x = add(x, timestep_scale(deviation, noise, t));
    return Step{x, estimate};
  };
}

}  // namespace ddpm
