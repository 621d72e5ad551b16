#include "diffusion/solver.h"

#include <algorithm>
#include <cmath>

#include "diffusion/host_values.h"
#include "framework/ops/dynamic_threshold.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/timestep.h"

namespace ddpm {
namespace {

using Move = Solver::Move;
using Moves = std::vector<Move>;

// A sum's coefficients in the order of the tensors they belong to.
constexpr size_t kX = 0, kBase = 1, kNoise = 2, kEstimate = 3, kTerms = 3 + Solver::kEstimates;
using Row = std::array<double, kTerms>;

Row row_of(const Solver::Mix& mix) {
  Row row = {mix.x, mix.base, mix.noise};
  std::copy(mix.estimate.begin(), mix.estimate.end(), row.begin() + kEstimate);
  return row;
}

bool is_whole(double t) { return t == std::floor(t); }

class SolverStepper : public Sampler::Stepper {
 public:
  // plans[past]: the moves of every step when that many came before it, or the largest known.
  SolverStepper(const GaussianDiffusion& process, const Shape& shape,
                const Solver::Options& options, std::vector<std::vector<Moves>> plans)
      : process_(process), options_(options), plans_(std::move(plans)) {
    Row used = {};  // by any step: the rest is neither kept nor read
    Moves visited;
    for (const Moves& moves : plans_.back())
      for (const Move& move : moves) {
        visited.push_back(move);
        for (const Row& row : {row_of(move.next), row_of(move.base)})
          for (size_t j = 0; j < kTerms; ++j) used[j] += std::abs(row[j]);
      }
    for (size_t j = 0; j < kTerms; ++j)
      if (used[j] > 0) terms_.push_back(j);
    const auto empty = [&](Shape s) { return Tensor::empty(s, process.dtype(), process.device()); };
    const Shape table{static_cast<int64_t>(visited.size()), static_cast<int64_t>(terms_.size())};
    next_ = empty(table);
    if (used[kBase] > 0) {
      base_ = empty(shape);
      next_base_ = empty(table);
    }
    for (size_t j = kEstimate + 1; j < kTerms && used[j] > 0; ++j) earlier_.push_back(empty(shape));
    upload_estimates(visited);
    begin(0);
  }

  void begin(int64_t first) override {
    std::vector<double> next, base;
    const auto append = [&](const Solver::Mix& mix, std::vector<double>& rows) {
      const Row row = row_of(mix);
      for (const size_t j : terms_) rows.push_back(row[j]);
    };
    int64_t visit = 0;
    size_t past = 0;  // steps since the beginning
    for (size_t i = 0; i < plans_[0].size(); ++i) {
      const Moves& moves = plans_[std::min(past, plans_.size() - 1)][i];
      if (visit >= first) ++past;
      visit += static_cast<int64_t>(moves.size());
      for (const Move& move : moves) {
        append(move.next, next);
        append(move.base, base);
      }
    }
    next_.copy_from(write_values(next, next_.shape(), next_.dtype(), next_.device()));
    if (base_)
      next_base_.copy_from(write_values(base, next_.shape(), next_.dtype(), next_.device()));
  }

  Sampler::Step step(const Sampler::Input& in) override {
    const Tensor prediction = process_.split(in.output, in.x_t).prediction;
    Tensor x0 = timestep_mix(x0_from_xt_, in.x_t, x0_from_output_, prediction, in.index);
    if (options_.dynamic_threshold > 0) {
      x0 = dynamic_threshold(x0, options_.dynamic_threshold);
    } else if (options_.clip_denoised) {
      x0 = clamp(x0, -1, 1);
    }
    const Tensor estimate =
        options_.estimate == Solver::Estimate::kX0
            ? x0
            : timestep_mix(epsilon_from_xt_, in.x_t, epsilon_from_x0_, x0, in.index);
    std::vector<Tensor> terms;
    for (const size_t j : terms_)
      terms.push_back(j == kX          ? in.x_t
                      : j == kBase     ? base_
                      : j == kNoise    ? in.noise
                      : j == kEstimate ? estimate
                                       : earlier_[j - kEstimate - 1]);
    const Tensor x = timestep_sum(next_, terms, in.index);
    if (base_) base_.copy_from(timestep_sum(next_base_, terms, in.index));
    for (size_t j = earlier_.size(); j-- > 0;)
      earlier_[j].copy_from(j == 0 ? estimate : earlier_[j - 1]);
    return {x, x0};
  }

 private:
  // x_0 from what the network says, and epsilon from x_0.
  void upload_estimates(const Moves& visited) {
    std::vector<double> from_xt, from_output, epsilon_from_xt, epsilon_from_x0;
    const Parameterization& parameterization = process_.parameterization();
    for (const auto& [at, next, base] : visited) {
      const Parameterization::Coefficients c =
          is_whole(at.t) ? parameterization.at(process_.tables(), static_cast<int>(at.t))
                         : parameterization.at_level(at.signal, at.noise);
      from_xt.push_back(c.x0_from_xt);
      from_output.push_back(c.x0_from_output);
      epsilon_from_xt.push_back(1 / at.noise);
      epsilon_from_x0.push_back(-at.signal / at.noise);
    }
    x0_from_xt_ = process_.upload(from_xt);
    x0_from_output_ = process_.upload(from_output);
    epsilon_from_xt_ = process_.upload(epsilon_from_xt);
    epsilon_from_x0_ = process_.upload(epsilon_from_x0);
  }

  const GaussianDiffusion& process_;
  Solver::Options options_;
  std::vector<std::vector<Moves>> plans_;
  std::vector<size_t> terms_;    // those of kTerms that are in use
  Tensor next_, next_base_;      // (visits, terms)
  Tensor base_;                  // (N, ..., C), if in use
  std::vector<Tensor> earlier_;  // m_{k-1}, m_{k-2}, .. as far as in use
  // (visits) each.
  Tensor x0_from_xt_, x0_from_output_, epsilon_from_xt_, epsilon_from_x0_;
};

}  // namespace

Solver::Mix Solver::Mix::operator*(double factor) const {
  Mix product = {x * factor, base * factor, estimate, noise * factor};
  for (double& e : product.estimate) e *= factor;
  return product;
}

Solver::Mix Solver::Mix::operator+(const Mix& other) const {
  Mix sum = {x + other.x, base + other.base, estimate, noise + other.noise};
  for (size_t j = 0; j < sum.estimate.size(); ++j) sum.estimate[j] += other.estimate[j];
  return sum;
}

void Solver::read_limits(const Config& config) {
  options_.clip_denoised =
      config.boolean("clip_denoised", true, "clip x_0 to [-1, 1] in every step");
  options_.dynamic_threshold =
      config.number("dynamic_threshold", 0, 0, 1,
                    "instead of clipping, divide x_0 by this quantile of its size where that is "
                    "above 1 (Saharia et al. 2022: 0.995); 0: none");
}

void check_steps(const std::string& sampler, int64_t steps, const NoiseLevels& levels) {
  DDPM_CHECK(steps <= levels.timesteps(), "sampler {}: {} steps of a process that has {}", sampler,
             steps, levels.timesteps());
}

std::vector<Moves> Solver::steps(const GaussianDiffusion& process, size_t past) const {
  const NoiseLevels levels(process.tables());
  const std::vector<NoiseLevel> ends = grid(levels);
  std::vector<Moves> all;
  for (size_t i = 0; i + 1 < ends.size(); ++i)
    all.push_back(step(levels, ends, i, std::min(i, past)));
  return all;
}

std::vector<Sampler::Visit> Solver::visits(const GaussianDiffusion& process) const {
  std::vector<Visit> all;
  for (const Moves& moves : steps(process))
    for (size_t j = 0; j < moves.size(); ++j) {
      DDPM_CHECK(is_whole(moves[j].at.t) || !process.parameterization().is_of_steps(),
                 "sampler {}: it asks the network between timesteps, where parameterization "
                 "previous_mean has no meaning; samplers that serve it: ancestral, ddim, and "
                 "dpm_solver++ or unipc with whole_timesteps",
                 name_);
      all.push_back({moves[j].at.t, j == 0});
    }
  return all;
}

bool Solver::is_deterministic(const GaussianDiffusion& process) const {
  for (const Moves& moves : steps(process))
    for (const Move& move : moves)
      if (move.next.noise != 0 || move.base.noise != 0) return false;
  return true;
}

bool Solver::has_memory(const GaussianDiffusion& process) const {
  for (const Moves& moves : steps(process))
    for (const Move& move : moves) {
      const auto& earlier = move.next.estimate;
      if (moves.size() > 1 || move.next.base != 0) return true;
      if (std::any_of(earlier.begin() + 1, earlier.end(), [](double e) { return e != 0; }))
        return true;
    }
  return false;
}

std::unique_ptr<Sampler::Stepper> Solver::stepper(const GaussianDiffusion& process,
                                                  const Shape& shape) const {
  std::vector<std::vector<Moves>> plans;
  for (size_t past = 0; past < kEstimates; ++past) plans.push_back(steps(process, past));
  return std::make_unique<SolverStepper>(process, shape, options_, std::move(plans));
}

}  // namespace ddpm
