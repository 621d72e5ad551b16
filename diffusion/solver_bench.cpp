#include "diffusion/solver_bench.h"

#include <cmath>
#include <utility>

#include "diffusion/exact_denoiser.h"
#include "diffusion/exact_flow.h"
#include "diffusion/host_values.h"

namespace ddpm {
namespace {

constexpr uint64_t kSeed = 5;

DiffusionVariant paper_variant() {
  const Config defaults{ConfigSource()};
  return read_diffusion(defaults);
}

}  // namespace

SolverBench::SolverBench(GaussianMixture mixture, const Shape& shape)
    : mixture_(std::move(mixture)),
      shape_(shape),
      process_(paper_variant(), 0, DType::kF64, Device::kCpu) {
  ReverseChain any(process_, *samplers().make("ddim"), exact_denoiser(mixture_, process_), shape_,
                   kSeed);
  any.start(0);
  const NoiseLevels levels(process_.tables());
  const NoiseLevel last = levels.last(), first = levels.first();
  const std::vector<double> x = exact_flow(mixture_, read_values(any.x()), last, first);
  const auto dimension = static_cast<size_t>(mixture_.dimension());
  for (size_t i = 0; i < x.size(); i += dimension) {
    const Denoised x0 = denoise(mixture_, {&x[i], dimension}, first.signal, first.noise);
    truth_.insert(truth_.end(), x0.mean.begin(), x0.mean.end());
  }
}

SolverBench::Result SolverBench::measure(const Sampler& sampler) const {
  ReverseChain chain(process_, sampler, exact_denoiser(mixture_, process_), shape_, kSeed);
  const double error = error_of(read_values(sample(chain, 0)));
  return {chain.steps(), error};
}

SolverBench::Result SolverBench::measure(const OdeSampler& sampler) const {
  const Model model = exact_denoiser(mixture_, process_);
  ProbabilityFlow flow(process_, model, shape_, sampler.options(), "sampler ode");
  Tensor x_T = Tensor::empty(shape_, process_.dtype(), process_.device());
  fill_normal(initial_stream(kSeed, random_counter(0, 0, process_.device())), x_T);
  const OdeSolution drawn = sampler.draw(process_, model, flow, x_T, {});
  double evaluations = 0;
  for (const int64_t n : drawn.evaluations) evaluations += static_cast<double>(n);
  return {std::llround(evaluations / static_cast<double>(drawn.evaluations.size())),
          error_of(drawn.y)};
}

double SolverBench::error_of(const std::vector<double>& drawn) const {
  double sum = 0;
  for (size_t i = 0; i < truth_.size(); ++i) sum += (drawn[i] - truth_[i]) * (drawn[i] - truth_[i]);
  return std::sqrt(sum / static_cast<double>(truth_.size()));
}

SolverBench SolverBench::points() {
  return {{.weights = {0.5, 0.3, 0.2},
           .means = {-0.5, -0.4, 0.5, -0.3, 0.0, 0.6},
           .variances = {0.04, 0.09, 0.05, 0.04, 0.06, 0.05}},
          {32, 2}};
}

SolverBench SolverBench::images() {
  return {smooth_image_mixture(4, {4, 4, 1}, 0.2, 3), {4, 4, 4, 1}};
}

double observed_order(const std::vector<SolverBench::Result>& results) {
  double mean_x = 0, mean_y = 0, xy = 0, xx = 0;
  const auto count = static_cast<double>(results.size());
  for (const auto& [evaluations, error] : results) {
    mean_x += std::log(static_cast<double>(evaluations)) / count;
    mean_y += std::log(error) / count;
  }
  for (const auto& [evaluations, error] : results) {
    const double x = std::log(static_cast<double>(evaluations)) - mean_x;
    xy += x * (std::log(error) - mean_y);
    xx += x * x;
  }
  return -xy / xx;
}

}  // namespace ddpm
