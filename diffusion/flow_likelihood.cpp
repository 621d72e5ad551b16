#include "diffusion/flow_likelihood.h"

#include <cmath>
#include <numbers>
#include <utility>

#include "diffusion/host_values.h"
#include "framework/ops/timestep.h"

namespace ddpm {
namespace {

double log_normal(double x) { return -(x * x + std::log(2 * std::numbers::pi)) / 2; }

}  // namespace

double FlowLikelihoodReport::probe_error() const {
  if (probe_variance.count() == 0) return 0;
  return std::sqrt(probe_variance.mean() / static_cast<double>(probe_variance.count()));
}

FlowLikelihood::FlowLikelihood(const GaussianDiffusion& process, Model model,
                               const FlowLikelihoodOptions& options)
    : process_(process), model_(std::move(model)), options_(options) {
  check_flow(process, "nll_ode");
}

bool FlowLikelihood::is_exact(int64_t dimension) const {
  return options_.probes == 0 || dimension <= kExactDimension;
}

// The host draws the same bits as a device would.
std::vector<double> FlowLikelihood::draw(const Shape& shape, const char* site, int64_t step,
                                         int64_t first_image, bool normal) const {
  Tensor values = Tensor::empty(shape, process_.dtype(), Device::kCpu);
  const RandomStream stream{options_.seed, random_site(site),
                            random_counter(step, first_image, Device::kCpu)};
  if (normal) {
    fill_normal(stream, values);
  } else {
    fill_uniform(stream, -0.5, 0.5, values);
  }
  return read_values(values);
}

FlowLikelihood::Encoded FlowLikelihood::spread(const Tensor& x0, int64_t first_image) const {
  const double signal = process_.tables().signal[0];
  const double width = process_.levels() > 0 ? 2.0 / (process_.levels() - 1) : 0;
  std::vector<double> x = read_values(x0);
  const std::vector<double> u =
      draw(x0.shape(), "flow_likelihood/dequantisation", 0, first_image, false);
  for (size_t i = 0; i < x.size(); ++i) x[i] = signal * (x[i] + width * u[i]);
  // p(x_0) = signal^D p(signal x_0)
  const double bits = -std::log2(signal) - (width > 0 ? std::log2(width) : 0);
  return {std::move(x), std::vector<double>(static_cast<size_t>(x0.shape()[0]), bits)};
}

FlowLikelihood::Encoded FlowLikelihood::add_noise(const Tensor& x0, int64_t first_image) const {
  const double signal = process_.tables().signal[0], noise = process_.tables().noise[0];
  const std::vector<double> z = draw(x0.shape(), "flow_likelihood/noise", 0, first_image, true);
  std::vector<double> x = read_values(x0);
  for (size_t i = 0; i < x.size(); ++i) x[i] = signal * x[i] + noise * z[i];
  const Tensor x_t = write_values(x, x0.shape(), x0.dtype(), x0.device());
  const Tensor t = same_timestep(0, x0.shape()[0], x0.device());
  const GaussianDiffusion::Reverse p =
      process_.p_mean_variance(model_(x_t, t), x_t, t, /*clip_denoised=*/true);
  std::vector<double> bits = read_values(process_.bound_term(x0, x_t, t, {p.mean, p.log_variance}));
  const size_t dimension = x.size() / bits.size();
  for (size_t i = 0; i < x.size(); ++i)
    bits[i / dimension] +=
        (log_normal(z[i]) - std::log(noise)) / (static_cast<double>(dimension) * std::numbers::ln2);
  return {std::move(x), std::move(bits)};
}

void FlowLikelihood::add(const Tensor& x0, int64_t first_image,
                         const ProbabilityFlow::Observer& observer) {
  const Shape& shape = x0.shape();
  const auto rows = static_cast<size_t>(shape[0]);
  const size_t dimension = static_cast<size_t>(x0.numel()) / rows;
  if (flow_rows_ != shape[0])
    flow_ = std::make_unique<ProbabilityFlow>(process_, model_, shape, options_.ode, "nll_ode");
  flow_rows_ = shape[0];
  std::vector<std::vector<double>> probes;
  if (!is_exact(static_cast<int64_t>(dimension)))
    for (int64_t k = 0; k < options_.probes; ++k) {
      probes.push_back(draw(shape, "flow_likelihood/probe", k, first_image, false));
      for (double& v : probes.back()) v = v < 0 ? -1 : 1;
    }
  Encoded encoded = options_.uniform ? spread(x0, first_image) : add_noise(x0, first_image);
  const NoiseLevels& levels = flow_->levels();
  const ProbabilityFlow::Density density = flow_->transport_density(
      std::move(encoded.x), levels.first(), levels.last(), probes, observer);
  const size_t estimates = density.log_ratio.size() / rows;
  const double nat = 1 / (static_cast<double>(dimension) * std::numbers::ln2);
  for (size_t n = 0; n < rows; ++n) {
    double prior = 0;
    for (size_t d = 0; d < dimension; ++d) prior += log_normal(density.x[n * dimension + d]);
    Estimate of_image;
    for (size_t k = 0; k < estimates; ++k)
      of_image.add(encoded.bits[n] - nat * (prior + density.log_ratio[n * estimates + k]));
    report_.bits.add(of_image.mean());
    if (!probes.empty())
      report_.probe_variance.add(of_image.standard_error() * of_image.standard_error());
    report_.evaluations.add(static_cast<double>(density.evaluations[n]));
  }
}

std::vector<double> FlowLikelihood::state() const {
  std::vector<double> numbers;
  for (const Estimate* e : {&report_.bits, &report_.probe_variance, &report_.evaluations}) {
    const Estimate::State s = e->state();
    numbers.insert(numbers.end(), {s.count, s.mean, s.squares});
  }
  return numbers;
}

void FlowLikelihood::restore(const std::vector<double>& state) {
  DDPM_ASSERT(state.size() == 9, "{} numbers of a flow's likelihood", state.size());
  size_t i = 0;
  for (Estimate* e : {&report_.bits, &report_.probe_variance, &report_.evaluations}) {
    *e = Estimate({state[i], state[i + 1], state[i + 2]});
    i += 3;
  }
}

}  // namespace ddpm
