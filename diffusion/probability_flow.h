// The probability flow of a network (Song et al. 2021b, eq. 13): the ODE whose solutions have the
// laws of the forward process, so that it takes images to x_T and x_T to images, one to one. In
// lambda = log(signal / noise), and with the network's estimate of x_0, which nothing clips,
//   dx / d lambda = signal (x_0(x, lambda) - signal x)
// Along it (instantaneous change of variables, Chen et al. 2018; Song et al. 2021b, eq. 39)
//   d log p(x) / d lambda = -div (dx / d lambda)
// The divergence is exact, from as many vector-Jacobian products as an image has dimensions, or
// Hutchinson's estimate v^T J v with given v, one product each, through the tape.
//
// Each image has its own steps (dormand_prince.h), so it depends on no other of its batch. They are
// chosen on the host: only an evaluation of the network is one captured step.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "diffusion/dormand_prince.h"
#include "diffusion/noise_levels.h"
#include "diffusion/process.h"
#include "framework/train/step_runner.h"

namespace ddpm {

class ProbabilityFlow {
 public:
  // For batches of `shape` (N, ..., C). `process` must outlive it, and the weights of `model` keep
  // their addresses. UserError where the process has no flow: `what` is who asks for it.
  ProbabilityFlow(const GaussianDiffusion& process, Model model, Shape shape, OdeOptions options,
                  const std::string& what);
  ProbabilityFlow(const ProbabilityFlow&) = delete;
  ProbabilityFlow& operator=(const ProbabilityFlow&) = delete;

  const NoiseLevels& levels() const { return levels_; }

  // How much of the way the slowest image has, at every evaluation of the network.
  using Observer = std::function<void(double share)>;
  // x (N, ..., C) at one noise level of the process -> at another.
  OdeSolution transport(std::vector<double> x, const NoiseLevel& from, const NoiseLevel& to,
                        const Observer& observer = {});

  struct Density {
    std::vector<double> x;             // (N, ..., C) at `to`
    std::vector<double> log_ratio;     // (N, probes): log p_from(x at from) - log p_to(x at to)
    std::vector<int64_t> evaluations;  // (N): of the derivative
  };
  // `probes`: any number of v (N, ..., C), or none for the exact divergence, as if of one probe.
  Density transport_density(std::vector<double> x, const NoiseLevel& from, const NoiseLevel& to,
                            const std::vector<std::vector<double>>& probes,
                            const Observer& observer = {});

 private:
  // The network's output at the x and t that were written, and its product with probe_.
  void forward();
  void backward();
  void write_inputs(const std::vector<double>& lambda, const double* y, size_t stride);

  const GaussianDiffusion& process_;
  Model model_;
  NoiseLevels levels_;
  OdeOptions options_;
  size_t rows_, dimension_;
  Tensor x_, probe_, output_, product_;  // (N, ..., C)
  Tensor t_;                             // (N) f64
  StepRunner forward_runner_, backward_runner_;
  std::vector<double> from_x_, from_output_;  // (N): dx / d lambda = from_x x + from_output output
};

// Says that `what` cannot use the process, where it cannot: predictions that belong to single
// steps, or a last timestep without signal.
void check_flow(const GaussianDiffusion& process, const std::string& what);

}  // namespace ddpm
