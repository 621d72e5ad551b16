#include "diffusion/samplers/dpm_solver_plus_plus.h"

#include <algorithm>

#include "diffusion/exponential_step.h"
#include "diffusion/samplers/dpm_solver.h"

namespace ddpm {
namespace {

// Step i with the estimates of `past` steps before it, of order past + 1.
Solver::Mix multistep(Solver::Estimate estimate, const std::vector<NoiseLevel>& grid, size_t i,
                      size_t past) {
  const ExponentialStep e(estimate, grid[i], grid[i + 1]);
  Solver::Mix mix = e.first_order();
  if (past == 0) return mix;
  const auto ratio = [&](size_t j) { return (grid[j].log_snr - grid[j - 1].log_snr) / e.h; };
  using Weights = std::array<double, Solver::kEstimates>;
  const auto add = [&](double factor, const Weights& weights) {
    for (size_t j = 0; j < weights.size(); ++j) mix.estimate[j] += factor * weights[j];
  };
  const double r = ratio(i);
  const Weights slope = {1 / r, -1 / r};  // h m', between the last two
  if (past == 1) {
    add(-e.scaled_phi_1 / 2, slope);  // as the paper has it: phi_2 is phi_1 / 2 to within the order
    return mix;
  }
  const double q = ratio(i - 1);
  // h^2 m'' / 2, and with it h m' at the newest of the three.
  Weights bend = {1 / r, -1 / r - 1 / q, 1 / q};
  for (double& w : bend) w /= r + q;
  add(-e.scale * e.phi_2(), slope);
  add(-e.scale * e.phi_2() * r, bend);
  add(-e.scale * e.phi_3() * 2, bend);
  return mix;
}

}  // namespace

DpmSolverPlusPlusSampler::DpmSolverPlusPlusSampler(const Config& config)
    : Solver("dpm_solver++"),
      method_(config.choice("method", "2m", {"2m", "2s", "3m"},
                            "order 2 or 3; m: multistep, an evaluation a step; s: singlestep, two "
                            "evaluations a step")),
      grid_(config, "dpm_solver++", "log_snr", method_ != "2s") {
  options_.estimate = read_estimate(config, "x0");
  read_limits(config);
}

std::vector<NoiseLevel> DpmSolverPlusPlusSampler::grid(const NoiseLevels& levels) const {
  const int64_t evaluations = grid_.evaluations();
  return grid_.ends(levels, method_ == "2s" ? (evaluations + 1) / 2 : evaluations);
}

std::vector<Solver::Move> DpmSolverPlusPlusSampler::step(const NoiseLevels& levels,
                                                         const std::vector<NoiseLevel>& grid,
                                                         size_t i, size_t past) const {
  const bool is_last = grid[i + 1].noise == 0;
  if (method_ == "2s") {
    const bool is_half = static_cast<int64_t>(2 * i + 1) == grid_.evaluations();
    return singlestep(levels, options_.estimate, grid[i], grid[i + 1], is_last || is_half ? 1 : 2);
  }
  const size_t most = method_ == "3m" ? 2 : 1;
  return {{.at = grid[i],
           .next = multistep(options_.estimate, grid, i, is_last ? 0 : std::min(past, most))}};
}

}  // namespace ddpm
