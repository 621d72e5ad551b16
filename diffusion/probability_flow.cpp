#include "diffusion/probability_flow.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "diffusion/host_values.h"
#include "framework/autograd/tape.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"

namespace ddpm {
namespace {

void write(const std::vector<double>& values, Tensor& x) {
  if (x.dtype() == DType::kF64) return x.copy_from_host(values.data());
  const std::vector<float> rounded(values.begin(), values.end());
  x.copy_from_host(rounded.data());
}

double share_of(const std::vector<double>& lambda, const NoiseLevel& from, const NoiseLevel& to) {
  double least = 1;
  for (const double l : lambda)
    least = std::min(least, (l - from.log_snr) / (to.log_snr - from.log_snr));
  return least;
}

}  // namespace

void check_flow(const GaussianDiffusion& process, const std::string& what) {
  DDPM_CHECK(!process.parameterization().is_of_steps(),
             "{}: the probability flow asks the network between timesteps, where what it predicts, "
             "something of a single step, has no meaning",
             what);
  DDPM_CHECK(process.tables().signal.back() > 0,
             "{}: this schedule leaves nothing of x_0 at its last timestep, where the probability "
             "flow has no beginning",
             what);
}

ProbabilityFlow::ProbabilityFlow(const GaussianDiffusion& process, Model model, Shape shape,
                                 OdeOptions options, const std::string& what)
    : process_(process),
      model_(std::move(model)),
      levels_(process.tables()),
      options_(options),
      rows_(static_cast<size_t>(shape[0])),
      dimension_(static_cast<size_t>(shape.numel()) / rows_),
      x_(Tensor::empty(shape, process.dtype(), process.device())),
      probe_(Tensor::like(x_)),
      output_(Tensor::like(x_)),
      product_(Tensor::like(x_)),
      t_(Tensor::empty({shape[0]}, DType::kF64, process.device())),
      forward_runner_(process.device(), [this] { forward(); }),
      backward_runner_(process.device(), [this] { backward(); }),
      from_x_(rows_),
      from_output_(rows_) {
  check_flow(process, what);
}

void ProbabilityFlow::forward() {
  output_.copy_from(process_.split(model_(x_, t_), x_).prediction);
}

void ProbabilityFlow::backward() {
  Tape tape;
  Tensor x = x_.detach();
  x.set_requires_grad(true);
  const Tensor output = process_.split(model_(x, t_), x).prediction;
  output_.copy_from(output);
  tape.backward(sum(multiply(output, probe_)));
  product_.copy_from(x.grad());
}

void ProbabilityFlow::write_inputs(const std::vector<double>& lambda, const double* y,
                                   size_t stride) {
  std::vector<double> x(rows_ * dimension_), t(rows_);
  for (size_t n = 0; n < rows_; ++n) {
    const NoiseLevel at = levels_.at_log_snr(lambda[n]);
    const Parameterization::Coefficients c =
        process_.parameterization().at_level(at.signal, at.noise);
    t[n] = at.t;
    from_x_[n] = at.signal * (c.x0_from_xt - at.signal);
    from_output_[n] = at.signal * c.x0_from_output;
    std::copy_n(y + n * stride, dimension_, x.data() + n * dimension_);
  }
  write(x, x_);
  t_.copy_from_host(t.data());
}

OdeSolution ProbabilityFlow::transport(std::vector<double> x, const NoiseLevel& from,
                                       const NoiseLevel& to, const Observer& observer) {
  const Derivative slope = [&](const std::vector<double>& lambda, const std::vector<double>& y,
                               std::vector<double>& dy) {
    write_inputs(lambda, y.data(), dimension_);
    forward_runner_.run();
    const std::vector<double> output = read_values(output_);
    for (size_t i = 0; i < dy.size(); ++i)
      dy[i] = from_x_[i / dimension_] * y[i] + from_output_[i / dimension_] * output[i];
    if (observer) observer(share_of(lambda, from, to));
  };
  return integrate(slope, from.log_snr, to.log_snr, std::move(x),
                   {static_cast<int64_t>(dimension_)}, options_);
}

// The state of an image is x and, for each probe, the integral of the divergence divided by the
// dimension: its tolerance is one of log densities per dimension.
ProbabilityFlow::Density ProbabilityFlow::transport_density(
    std::vector<double> x, const NoiseLevel& from, const NoiseLevel& to,
    const std::vector<std::vector<double>>& probes, const Observer& observer) {
  const bool exact = probes.empty();
  const size_t integrals = exact ? 1 : probes.size(), width = dimension_ + integrals;
  std::vector<double> unit(rows_ * dimension_);

  const Derivative slope = [&](const std::vector<double>& lambda, const std::vector<double>& y,
                               std::vector<double>& dy) {
    write_inputs(lambda, y.data(), width);
    const size_t products = exact ? dimension_ : probes.size();
    for (size_t n = 0; n < rows_; ++n) std::fill_n(&dy[n * width + dimension_], integrals, 0.0);
    for (size_t k = 0; k < products; ++k) {
      if (exact)
        for (size_t i = 0; i < unit.size(); ++i) unit[i] = i % dimension_ == k ? 1 : 0;
      const std::vector<double>& v = exact ? unit : probes[k];
      write(v, probe_);
      backward_runner_.run();
      const std::vector<double> product = read_values(product_);
      for (size_t n = 0; n < rows_; ++n) {
        double sum = 0;  // v^T J v
        for (size_t i = n * dimension_; i < (n + 1) * dimension_; ++i)
          sum += v[i] * (from_x_[n] * v[i] + from_output_[n] * product[i]);
        dy[n * width + dimension_ + (exact ? 0 : k)] += sum / static_cast<double>(dimension_);
      }
    }
    const std::vector<double> output = read_values(output_);
    for (size_t n = 0; n < rows_; ++n)
      for (size_t d = 0; d < dimension_; ++d)
        dy[n * width + d] =
            from_x_[n] * y[n * width + d] + from_output_[n] * output[n * dimension_ + d];
    if (observer) observer(share_of(lambda, from, to));
  };

  std::vector<double> state(rows_ * width);
  for (size_t n = 0; n < rows_; ++n) std::copy_n(&x[n * dimension_], dimension_, &state[n * width]);
  OdeSolution solution =
      integrate(slope, from.log_snr, to.log_snr, std::move(state),
                {static_cast<int64_t>(dimension_), static_cast<int64_t>(integrals)}, options_);
  Density density{std::move(x), {}, std::move(solution.evaluations)};
  for (size_t n = 0; n < rows_; ++n) {
    const double* row = &solution.y[n * width];
    std::copy_n(row, dimension_, &density.x[n * dimension_]);
    for (size_t k = 0; k < integrals; ++k)
      density.log_ratio.push_back(row[dimension_ + k] * static_cast<double>(dimension_));
  }
  return density;
}

}  // namespace ddpm
