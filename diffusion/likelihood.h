// The variational bound on the negative log likelihood of images, in bits per dimension, term by
// term (DDPM eq. 5 and tables 1 and 4):
//
//   bound = L_T + sum_{t > 0} L_t + L_0;  rate = L_T + sum_{t > 0} L_t,  distortion = L_0
//
// under several reverse variances, with x_0 clipped to [-1, 1] and not: fixed_small, fixed_large
// and, where the network has one, its own. All are arithmetic on the same outputs of the network.
// Each (image, term) has one fresh noise, addressed by the seed.
//
// With fewer evaluations per image than timesteps, t = 0 is still evaluated for every image and
// 1 .. T - 1 is cut into strata (geometrically: early terms are the largest), from each of which an
// image draws one t and counts its term as often as the stratum is long. Every sum stays unbiased;
// the standard errors, over images, include that noise.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "diffusion/process.h"
#include "framework/random/random.h"
#include "framework/train/step_runner.h"

namespace ddpm {

struct LikelihoodOptions {
  int evaluations_per_image = 0;  // 0: every timestep
  uint64_t seed = 0;
};

// A running mean with its standard error.
class Estimate {
 public:
  // What add() has gathered, to be saved and taken up again.
  struct State {
    double count = 0, mean = 0, squares = 0;
  };

  Estimate() = default;
  explicit Estimate(const State& state)
      : count_(static_cast<int64_t>(state.count)), mean_(state.mean), squares_(state.squares) {}
  State state() const { return {static_cast<double>(count_), mean_, squares_}; }

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
  bool clip_denoised;    // the paper's evaluation clips
  Estimate total = {}, rate = {}, distortion = {};
  std::vector<Estimate> terms = {};  // (T): L_t at t, over the images that were evaluated there
};

// Mean squared error of the x_0 estimate at each t.
struct Reconstruction {
  bool clip_denoised;
  std::vector<Estimate> squared_error = {};  // (T)
};

// RMSEs are in [0, 255] units for images, in those of the data for continuous ones (levels 0).
inline double rmse_scale_of(int levels) { return levels > 0 ? 127.5 : 1; }

struct LikelihoodReport {
  std::vector<VariationalBound> bounds;         // all variances clipped, then all not clipped
  std::vector<Reconstruction> reconstructions;  // clipped, not clipped
  Estimate prior;                               // L_T
  double rmse_scale = 1;

  const VariationalBound& bound(const std::string& variance, bool clip_denoised) const;
  double rmse(int t, bool clip_denoised = true) const {
    return rmse_scale * std::sqrt(reconstructions[clip_denoised ? 0 : 1].squared_error[t].mean());
  }
};

// Progressive coding (DDPM figure 5): (bits spent, RMSE of the x_0 estimate) after 1, .., T reverse
// steps, from L_T, and L_t and the RMSE at every t. x_t is known once L_T and L_s for all s > t are
// sent.
std::vector<std::pair<double, double>> rate_distortion(double prior,
                                                       const std::vector<double>& terms,
                                                       const std::vector<double>& rmse);

class Likelihood {
 public:
  // `process` must outlive it, and the weights of `model` keep their addresses.
  Likelihood(const GaussianDiffusion& process, Model model, const LikelihoodOptions& options);
  Likelihood(const Likelihood&) = delete;
  Likelihood& operator=(const Likelihood&) = delete;

  // Evaluates images first_image .. first_image + N - 1 of a data set; the index addresses their
  // noise, so a report does not depend on how the set is cut into batches. `observer` hears of
  // every evaluation of the network; when it throws, the report is of no use any more.
  using Observer = std::function<void()>;
  void add(const Tensor& x0, int64_t first_image, const Observer& observer = {});
  const LikelihoodReport& report() const { return report_; }

  // First timestep of each stratum, then T.
  const std::vector<int32_t>& strata() const { return strata_; }
  // Everything that add() changes: written down and restored, the evaluation goes on as if it had
  // never stopped. The size depends on the process and its variance only.
  std::vector<double> state() const;
  void restore(const std::vector<double>& state);

 private:
  // What the evaluation of N images at one t each reads and leaves, at fixed addresses: on the GPU
  // it is captured once and replayed for every stratum and every batch of that size.
  struct Batch {
    Batch(const Likelihood& likelihood, const Shape& shape);
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;

    Tensor x0, t, counter;
    Tensor squared_error, terms;  // (reconstructions, N), (bounds, N)
    StepRunner runner;
  };
  void evaluate(Batch& batch) const;
  template <class Visit>
  static void for_each_estimate(LikelihoodReport& report, const Visit& visit);

  const GaussianDiffusion& process_;
  Model model_;
  LikelihoodOptions options_;
  std::vector<int32_t> strata_;
  std::vector<std::pair<std::string, Tensor>> fixed_;  // log variance tables by name
  LikelihoodReport report_;
  std::unique_ptr<Batch> batch_;  // of the latest size
};

}  // namespace ddpm
