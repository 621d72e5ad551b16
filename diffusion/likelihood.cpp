#include "diffusion/likelihood.h"

#include <algorithm>

#include "diffusion/host_values.h"
#include "framework/ops/losses.h"
#include "framework/ops/timestep.h"
#include "framework/random/random.h"

namespace ddpm {
namespace {

// Edges 0, 1, .., T of `count` strata: {0}, then geometric ones, each at least one step long.
std::vector<int32_t> stratify(int timesteps, int count) {
  std::vector<int32_t> edges = {0, 1};
  for (int i = 1; i < count; ++i) {
    const double edge = std::pow(timesteps, static_cast<double>(i) / (count - 1));
    edges.push_back(std::max(edges.back() + 1, static_cast<int32_t>(std::lround(edge))));
  }
  return edges;
}

}  // namespace

Likelihood::Likelihood(const GaussianDiffusion& process, const LikelihoodOptions& options)
    : process_(process), options_(options) {
  const int timesteps = process.timesteps();
  const int evaluations =
      options.evaluations_per_image == 0 ? timesteps : options.evaluations_per_image;
  DDPM_CHECK(evaluations >= 2 && evaluations <= timesteps,
             "likelihood: {} evaluations per image; 2 to {} are possible", evaluations, timesteps);
  strata_ = stratify(timesteps, evaluations);
  fixed_ = {{"fixed_small", process.upload(process.tables().posterior_log_variance)},
            {"fixed_large", process.upload(process.tables().fixed_large_log_variance)}};
  for (const auto& [name, table] : fixed_) report_.bounds.push_back({.variance = name});
  if (process.variance().learned()) report_.bounds.push_back({.variance = "model"});
  for (VariationalBound& bound : report_.bounds) bound.terms.resize(timesteps);
  report_.x0_squared_error.resize(timesteps);
  if (process.levels() == 0) report_.rmse_scale = 1;
}

void Likelihood::add(const Model& model, const Tensor& x0, int64_t first_image) {
  const int64_t images = x0.shape()[0];
  const Device device = x0.device();
  const std::vector<double> prior = read_values(process_.prior_term(x0));
  for (double p : prior) report_.prior.add(p);
  std::vector<std::vector<double>> rates(report_.bounds.size(), prior);
  std::vector<std::vector<double>> distortions(report_.bounds.size());

  Tensor t = Tensor::empty({images}, DType::kI32, device), noise = Tensor::like(x0);
  for (size_t stratum = 0; stratum + 1 < strata_.size(); ++stratum) {
    const int32_t begin = strata_[stratum], length = strata_[stratum + 1] - begin;
    const Tensor counter = random_counter(static_cast<int64_t>(stratum), first_image, device);
    fill_randint({options_.seed, random_site("likelihood/timestep"), counter}, length, t);
    std::vector<int32_t> steps = t.to_host<int32_t>();
    for (int32_t& step : steps) step += begin;
    t.copy_from_host(steps.data());
    fill_normal({options_.seed, random_site("likelihood/noise"), counter}, noise);

    const Tensor x_t = process_.q_sample(x0, t, noise);
    const GaussianDiffusion::Reverse p =
        process_.p_mean_variance(model(x_t, t), x_t, t, options_.clip_denoised);
    const std::vector<double> error = read_values(squared_error(p.x0, x0));
    for (int64_t n = 0; n < images; ++n) report_.x0_squared_error[steps[n]].add(error[n]);

    for (size_t b = 0; b < report_.bounds.size(); ++b) {
      VariationalBound& bound = report_.bounds[b];
      const Tensor log_variance =
          b < fixed_.size() ? timestep_fill(fixed_[b].second, t, x0.shape()) : p.log_variance;
      const std::vector<double> terms =
          read_values(process_.bound_term(x0, x_t, t, {p.mean, log_variance}));
      for (int64_t n = 0; n < images; ++n) {
        bound.terms[steps[n]].add(terms[n]);
        if (begin > 0) rates[b][n] += length * terms[n];
      }
      if (begin == 0) distortions[b] = terms;
    }
  }
  for (size_t b = 0; b < report_.bounds.size(); ++b)
    for (int64_t n = 0; n < images; ++n) {
      report_.bounds[b].rate.add(rates[b][n]);
      report_.bounds[b].distortion.add(distortions[b][n]);
      report_.bounds[b].total.add(rates[b][n] + distortions[b][n]);
    }
}

}  // namespace ddpm
