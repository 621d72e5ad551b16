// Sampler: how images are drawn from the reverse process; ReverseChain runs one for a batch.
//
// A step is one evaluation of the network: what is counted, shown as progress and called steps is
// the NFE of the literature. Image i of a seed is the same image whatever batch it is drawn in: x_T
// and the noise of every step are addressed by (seed, image, step), and samplers share x_T, so
// their images can be compared in pairs. A step reads its timestep and its place in the random
// streams from device memory and leaves x at a fixed address: on the GPU it is captured once and
// replayed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "diffusion/process.h"
#include "framework/random/random.h"
#include "framework/train/step_runner.h"

namespace ddpm {

class Sampler {
 public:
  // One evaluation of the network.
  struct Visit {
    double t;  // the timestep it is asked at: whole, or between two
    // Whether x is x_t here and a chain may begin; not so in the middle of a step of several
    // evaluations.
    bool begins_step = true;
  };
  struct Input {
    Tensor output, x_t, noise;  // (N, ..., C); the network's output is for x_t
    Tensor t;                   // (N) i32, or f64 if any visit is between timesteps
    Tensor index;               // (N) i32, the number of the visit
    Tensor second_noise = {};   // (N, ..., C), where the stepper asks for it
  };
  struct Step {
    Tensor x;   // the x that the network sees next, or the image
    Tensor x0;  // the estimate of x_0 that it was made from
  };
  // A sampler at work on one batch, with its tables and its memory on the device.
  class Stepper {
   public:
    virtual ~Stepper() = default;
    // The next step is that of visit `first`, from an x that comes from elsewhere.
    virtual void begin(int64_t first) = 0;
    virtual bool needs_second_noise() const { return false; }
    virtual Step step(const Input& input) = 0;
  };

  virtual ~Sampler() = default;
  // In this order. Throws a UserError that says which samplers can serve the process when this one
  // cannot.
  virtual std::vector<Visit> visits(const GaussianDiffusion& process) const = 0;
  // Whether x_T alone decides the image: no step adds noise.
  virtual bool is_deterministic(const GaussianDiffusion& process) const = 0;
  // Whether a visit needs more than its x: what was seen at visits before it.
  virtual bool has_memory(const GaussianDiffusion& process) const = 0;
  // For batches (N, ..., C) of that shape; `process` must outlive it.
  virtual std::unique_ptr<Stepper> stepper(const GaussianDiffusion& process,
                                           const Shape& shape) const = 0;
};

// Where x_T of the images is drawn, whatever takes them from there.
RandomStream initial_stream(uint64_t seed, const Tensor& counter);
// The number of the first visit at which at most `depth` of the T diffusion steps have been taken
// and a chain can begin.
int64_t visited_at(const std::vector<Sampler::Visit>& visits, int64_t depth);

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
  // Begins in the middle: with this x at the sampler's visit number `visited`, which begins a step,
  // of the images first_image .. as above.
  void start_from(const Tensor& x, int64_t visited, int64_t first_image);
  // The same with a draw of q(x_t | x0) for x, whose noise is the x_T that start() draws.
  void start_noised(const Tensor& x0, int64_t visited, int64_t first_image);
  // One reverse step; touches device memory only.
  void step() { runner_.run(); }

  int64_t steps() const { return timesteps_.numel(); }
  const std::vector<Sampler::Visit>& visits() const { return visits_; }
  const GaussianDiffusion& process() const { return process_; }
  const Tensor& x() const { return x_; }
  const Tensor& x0() const { return x0_; }  // of the latest step
  const Pool& pool() const { return runner_.pool(); }

 private:
  void begin(int64_t visited, int64_t first_image);
  void run_step();
  void fill_shared(const RandomStream& stream, Tensor& rows) const;

  const GaussianDiffusion& process_;
  Model model_;
  int64_t copies_;
  std::vector<Sampler::Visit> visits_;
  std::unique_ptr<Sampler::Stepper> stepper_;
  Tensor timesteps_;  // (steps) i32, or f64 where one is between timesteps
  Tensor x_, x0_, noise_, second_noise_, t_, index_;
  RandomStream initial_, stream_, second_stream_;
  StepRunner runner_;
};

// Called after every step with the number of steps done.
using SampleObserver = std::function<void(int64_t done, const ReverseChain& chain)>;

// The images first_image .. first_image + N - 1 of the chain's seed, as they come: not clipped and
// not checked. The tensor is the chain's own x.
Tensor sample(ReverseChain& chain, int64_t first_image, const SampleObserver& observer = {});

}  // namespace ddpm
