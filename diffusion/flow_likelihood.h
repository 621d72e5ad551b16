// The log-likelihood of images under the probability flow of a network, in bits per dimension (Song
// et al. 2021b, section 4.3). Where the bound of likelihood.h is of the reverse chain, this is the
// exact density of another model with the same network: N(0, 1) at the last timestep, taken by the
// flow to the first, where images still have noise.
//
// How grey levels become points with a density there:
//   "noise"    x_t at t = 0 as the process makes it; the image comes back by the bound's decoder
//     -log2 P(x_0) <= L_0 + log2 q(x_t | x_0) - log2 p(x_t): the bound with the flow for its rate
//   "uniform"  x_0 spread uniformly over the width of a level (Theis et al. 2016), as in the paper;
//     -log2 P(x_0) <= -log2 p(x_0 + u) - log2 width. The network never saw what lies between levels
//     that are further apart than the noise of t = 0, and then this is a bad bound
// Continuous data are not spread: "uniform" is their density as they are.
//
// Everything an image draws is addressed by the seed and its index.
#pragma once

#include <memory>

#include "diffusion/likelihood.h"
#include "diffusion/probability_flow.h"

namespace ddpm {

struct FlowLikelihoodOptions {
  OdeOptions ode = {};
  // Rademacher vectors of Hutchinson's estimate, for each image; 0: the exact divergence. Images of
  // few dimensions have that anyway.
  int64_t probes = 2;
  bool uniform = false;  // else "noise"
  uint64_t seed = 0;
};

struct FlowLikelihoodReport {
  Estimate bits;            // over images
  Estimate probe_variance;  // of an image's bits, for the probes that it had; none where exact
  Estimate evaluations;     // of the derivative, per image

  // The standard error of the mean over these images that is Hutchinson's, a part of that over
  // images; 0 where the divergence is exact, NaN with a single probe.
  double probe_error() const;
};

class FlowLikelihood {
 public:
  // `process` must outlive it, and the weights of `model` keep their addresses.
  FlowLikelihood(const GaussianDiffusion& process, Model model,
                 const FlowLikelihoodOptions& options);

  static constexpr int64_t kExactDimension = 32;  // and fewer
  bool is_exact(int64_t dimension) const;

  // Images first_image .. first_image + N - 1 of a data set.
  void add(const Tensor& x0, int64_t first_image, const ProbabilityFlow::Observer& observer = {});
  const FlowLikelihoodReport& report() const { return report_; }

  // As those of Likelihood.
  std::vector<double> state() const;
  void restore(const std::vector<double>& state);

 private:
  // x at the first noise level, and what an image's -log2 P per dimension is beside -log2 p(x). (N)
  struct Encoded {
    std::vector<double> x, bits;
  };
  Encoded spread(const Tensor& x0, int64_t first_image) const;
  Encoded add_noise(const Tensor& x0, int64_t first_image) const;
  std::vector<double> draw(const Shape& shape, const char* site, int64_t step, int64_t first_image,
                           bool normal) const;

  const GaussianDiffusion& process_;
  Model model_;
  FlowLikelihoodOptions options_;
  FlowLikelihoodReport report_;
  std::unique_ptr<ProbabilityFlow> flow_;  // of the latest size
  int64_t flow_rows_ = 0;
};

}  // namespace ddpm
