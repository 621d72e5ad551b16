// Solver: a sampler whose every step is a linear combination with coefficients known beforehand.
// DDIM, the DPM-Solvers, UniPC and EDM's Heun all are; each of them is a table of numbers.
//
// At visit k the network's output becomes an estimate m_k, of x_0 or of epsilon, and
//   x_{k+1} = sum of Mix::x * x_k, Mix::base * b_k, Mix::estimate[j] * m_{k-j}, Mix::noise * z
//   b_{k+1} = another such sum
// where b is a second x that a step may keep: its own beginning while it visits points within
// itself, or a corrected x. Coefficients are doubles; a step is one op for each sum. A chain that
// begins has no estimates yet: its first steps are of lower order.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "diffusion/noise_levels.h"
#include "diffusion/sampler.h"
#include "framework/config/config.h"

namespace ddpm {

class Solver : public Sampler {
 public:
  static constexpr int kEstimates = 4;
  struct Mix {
    double x = 0, base = 0;
    std::array<double, kEstimates> estimate = {};
    double noise = 0;

    Mix operator+(const Mix& other) const;
    Mix operator*(double factor) const;
  };
  struct Move {
    NoiseLevel at;  // where the network is asked
    Mix next;       // the next x
    Mix base = {};  // the next b
  };
  enum class Estimate { kX0, kEpsilon };
  struct Options {
    Estimate estimate = Estimate::kX0;
    bool clip_denoised = true;  // x_0 to [-1, 1]; epsilon follows
    // In its place, if above 0: framework/ops/dynamic_threshold.h with this quantile.
    double dynamic_threshold = 0;
  };

  std::vector<Visit> visits(const GaussianDiffusion& process) const override;
  bool is_deterministic(const GaussianDiffusion& process) const override;
  bool has_memory(const GaussianDiffusion& process) const override;
  std::unique_ptr<Stepper> stepper(const GaussianDiffusion& process,
                                   const Shape& shape) const override;
  // The moves of every step when at most `past` steps came before it.
  std::vector<std::vector<Move>> steps(const GaussianDiffusion& process,
                                       size_t past = kEstimates - 1) const;

  const Options& options() const { return options_; }

 protected:
  explicit Solver(std::string name) : name_(std::move(name)) {}
  // "clip_denoised" and "dynamic_threshold" of the sampler's settings.
  void read_limits(const Config& config);

  // The ends of the steps. The last is where the chain ends: at kClean, or at a noise level.
  virtual std::vector<NoiseLevel> grid(const NoiseLevels& levels) const = 0;
  // Step i, from grid[i] to grid[i + 1]; the chain has taken `past` steps before it, or more.
  virtual std::vector<Move> step(const NoiseLevels& levels, const std::vector<NoiseLevel>& grid,
                                 size_t i, size_t past) const = 0;

  Options options_;

 private:
  std::string name_;
};

// UserError where a sampler is to take more steps than the process has.
void check_steps(const std::string& sampler, int64_t steps, const NoiseLevels& levels);

}  // namespace ddpm
