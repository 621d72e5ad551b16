// The variational bound on the negative log likelihood of images, in bits per dimension, term by
// term (DDPM eq. 5 and tables 1 and 4):
//
//   bound = L_T + sum_{t > 0} L_t + L_0;  rate = L_T + sum_{t > 0} L_t,  distortion = L_0
//
// under several reverse variances from the same forward passes: fixed_small, fixed_large and, where
// the network has one, its own. Each (image, term) has one fresh noise, addressed by the seed.
//
// With fewer evaluations per image than timesteps, t = 0 is still evaluated for every image and
// 1 .. T - 1 is cut into strata (geometrically: early terms are the largest), from each of which an
// image draws one t and counts its term as often as the stratum is long. Every sum stays unbiased;
// the standard errors, over images, include that noise.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "diffusion/process.h"
#include "framework/random/random.h"
#include "framework/train/step_runner.h"

namespace ddpm {

struct LikelihoodOptions {
  bool clip_denoised = true;      // as in the paper's evaluation
  int evaluations_per_image = 0;  // 0: every timestep
  uint64_t seed = 0;
};

// A running mean with its standard error.
class Estimate {
 public:
  void add(double value) {  // Welford's update
    ++count_;
    const double delta = value - mean_;
    mean_ += delta / static_cast<double>(count_);
    squares_ += delta * (value - mean_);
  }
  int64_t count() const { return count_; }
  double mean() const { return count_ > 0 ? mean_ : NAN; }
  double standard_error() const {  // NaN below two values
    const double n = static_cast<double>(count_);
    return count_ > 1 ? std::sqrt(squares_ / (n * (n - 1))) : NAN;
  }

 private:
  int64_t count_ = 0;
  double mean_ = 0, squares_ = 0;
};

struct VariationalBound {
  std::string variance;  // "fixed_small", "fixed_large" or "model"
  Estimate total = {}, rate = {}, distortion = {};
  std::vector<Estimate> terms = {};  // (T): L_t at t, over the images that were evaluated there
};

struct LikelihoodReport {
  std::vector<VariationalBound> bounds;
  Estimate prior;  // L_T
  // Mean squared error of the x_0 estimate at each t, (T); rmse() in [0, 255] units for images, in
  // data units for continuous data.
  std::vector<Estimate> x0_squared_error;
  double rmse_scale = 127.5;
  double rmse(int t) const { return rmse_scale * std::sqrt(x0_squared_error[t].mean()); }
};

class Likelihood {
 public:
  // `process` must outlive it, and the weights of `model` keep their addresses.
  Likelihood(const GaussianDiffusion& process, Model model, const LikelihoodOptions& options);
  Likelihood(const Likelihood&) = delete;
  Likelihood& operator=(const Likelihood&) = delete;

  // Evaluates images first_image .. first_image + N - 1 of a data set; the index addresses their
  // noise, so a report does not depend on how the set is cut into batches.
  void add(const Tensor& x0, int64_t first_image);
  const LikelihoodReport& report() const { return report_; }

 private:
  // What the evaluation of N images at one t each reads and leaves, at fixed addresses: on the GPU
  // it is captured once and replayed for every stratum and every batch of that size.
  struct Batch {
    Batch(const Likelihood& likelihood, const Shape& shape);
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;

    Tensor x0, t, counter;
    Tensor squared_error, terms;  // (N), (bounds, N)
    StepRunner runner;
  };
  void evaluate(Batch& batch) const;

  const GaussianDiffusion& process_;
  Model model_;
  LikelihoodOptions options_;
  std::vector<int32_t> strata_;                        // first timestep of each, then T
  std::vector<std::pair<std::string, Tensor>> fixed_;  // log variance tables by name
  LikelihoodReport report_;
  std::unique_ptr<Batch> batch_;  // of the latest size
};

}  // namespace ddpm
