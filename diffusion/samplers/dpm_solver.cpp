#include "diffusion/samplers/dpm_solver.h"

#include "diffusion/exponential_step.h"

namespace ddpm {
namespace {

// An ExponentialStep's mix when the step's beginning is the base and its first estimate m_{k-age}.
Solver::Mix from_base(const ExponentialStep& e, size_t age) {
  Solver::Mix mix{.base = e.carry};
  mix.estimate[age] = -e.scaled_phi_1;
  return mix;
}

}  // namespace

std::vector<Solver::Move> singlestep(const NoiseLevels& levels, Solver::Estimate estimate,
                                     const NoiseLevel& from, const NoiseLevel& to, int64_t order) {
  const ExponentialStep whole(estimate, from, to);
  if (order == 1) return {{.at = from, .next = whole.first_order()}};
  const Solver::Mix keep_x{.x = 1}, keep_base{.base = 1};
  const auto point = [&](double share) {
    return levels.at_log_snr(from.log_snr + share * (to.log_snr - from.log_snr));
  };
  if (order == 2) {
    const NoiseLevel middle = point(0.5);
    // m' = (m_middle - m_from) / (h / 2), and phi_2 h m' to within the order phi_1 h m' / 2.
    Solver::Mix last = from_base(whole, 1);
    last.estimate[0] -= whole.scaled_phi_1;
    last.estimate[1] += whole.scaled_phi_1;
    return {
        {.at = from, .next = ExponentialStep(estimate, from, middle).first_order(), .base = keep_x},
        {.at = middle, .next = last}};
  }
  constexpr double kFirst = 1.0 / 3, kSecond = 2.0 / 3;
  const NoiseLevel first = point(kFirst), second = point(kSecond);
  const ExponentialStep to_second(estimate, from, second);
  Solver::Mix next = from_base(to_second, 1);
  const double slope = to_second.scale * to_second.phi_2() * kSecond / kFirst;
  next.estimate[0] -= slope;
  next.estimate[1] += slope;
  Solver::Mix last = from_base(whole, 2);
  const double last_slope = whole.scale * whole.phi_2() / kSecond;
  last.estimate[0] -= last_slope;
  last.estimate[2] += last_slope;
  return {
      {.at = from, .next = ExponentialStep(estimate, from, first).first_order(), .base = keep_x},
      {.at = first, .next = next, .base = keep_base},
      {.at = second, .next = last}};
}

Solver::Estimate read_estimate(const Config& config, const std::string& otherwise) {
  const std::string name = config.choice("estimate", otherwise, {"epsilon", "x0"},
                                         "what the solver interpolates over a step");
  return name == "x0" ? Solver::Estimate::kX0 : Solver::Estimate::kEpsilon;
}

DpmSolverSampler::DpmSolverSampler(const Config& config)
    : Solver("dpm_solver"),
      order_(config.integer("order", 3, 1, 3, "1, 2 or 3: evaluations of a step")),
      grid_(config, "dpm_solver", "log_snr", false) {
  options_.estimate = read_estimate(config, "epsilon");
  read_limits(config);
}

std::vector<NoiseLevel> DpmSolverSampler::grid(const NoiseLevels& levels) const {
  return grid_.ends(levels, (grid_.evaluations() + order_ - 1) / order_);
}

std::vector<Solver::Move> DpmSolverSampler::step(const NoiseLevels& levels,
                                                 const std::vector<NoiseLevel>& grid, size_t i,
                                                 size_t) const {
  const int64_t full = grid_.evaluations() / order_, rest = grid_.evaluations() % order_;
  const int64_t order = grid[i + 1].noise == 0 ? 1 : static_cast<int64_t>(i) < full ? order_ : rest;
  return singlestep(levels, options_.estimate, grid[i], grid[i + 1], order);
}

}  // namespace ddpm
