// Sampler: how images are drawn from the reverse process; ReverseChain runs one for a batch.
//
// Image i of a seed is the same image whatever batch it is drawn in: x_T and the noise of every
// step are addressed by (seed, image, step), and samplers share x_T, so their images can be
// compared in pairs. A step reads its timestep and its place in the random streams from device
// memory and leaves x at a fixed address: on the GPU it is captured once and replayed.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "diffusion/process.h"
#include "framework/random/random.h"
#include "framework/train/step_runner.h"

namespace ddpm {

class Sampler {
 public:
  struct Step {
    Tensor x;   // the next, less noisy x
    Tensor x0;  // the estimate of x_0 that it was made from
  };
  using StepFunction = std::function<Step(const Tensor& output, const Tensor& x_t, const Tensor& t,
                                          const Tensor& noise)>;

  virtual ~Sampler() = default;
  // The timesteps to visit, largest first.
  virtual std::vector<int32_t> timesteps(const GaussianDiffusion& process) const = 0;
  // The map from the network's output to the next x, with its tables on the device. `process` must
  // outlive it.
  virtual StepFunction step(const GaussianDiffusion& process) const = 0;
};

class ReverseChain {
 public:
  // shape is (N, ..., C); `process` must outlive the chain. The weights of `model` may change their
  // values while the chain lives, but not their addresses. With `copies` > 1 the rows i, i + N /
  // copies, i + 2 N / copies, .. see the same noise: that of image i.
  ReverseChain(const GaussianDiffusion& process, const Sampler& sampler, Model model, Shape shape,
               uint64_t seed, int64_t copies = 1);
  ReverseChain(const ReverseChain&) = delete;
  ReverseChain& operator=(const ReverseChain&) = delete;

  // Draws x_T of the images first_image .. first_image + N - 1.
  void start(int64_t first_image);
  // Begins in the middle: with this x at the sampler's visited timestep number `visited`, of the
  // images first_image .. as above.
  void start_from(const Tensor& x, int64_t visited, int64_t first_image);
  // One reverse step; touches device memory only.
  void step() { runner_.run(); }

  int64_t steps() const { return timesteps_.numel(); }
  const Tensor& x() const { return x_; }
  const Tensor& x0() const { return x0_; }  // of the latest step
  const Pool& pool() const { return runner_.pool(); }

 private:
  void run_step();
  void fill_shared(const RandomStream& stream, Tensor& rows) const;

  Model model_;
  int64_t copies_;
  Sampler::StepFunction step_;
  Tensor timesteps_;  // (steps) i32
  Tensor x_, x0_, noise_, t_;
  RandomStream initial_, stream_;
  StepRunner runner_;
};

// Called after every step with the number of steps done.
using SampleObserver = std::function<void(int64_t done, const ReverseChain& chain)>;

// The images first_image .. first_image + N - 1 of the chain's seed, as they come: not clipped and
// not checked. The tensor is the chain's own x.
Tensor sample(ReverseChain& chain, int64_t first_image, const SampleObserver& observer = {});

}  // namespace ddpm
