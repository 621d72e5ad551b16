// Guidance on a mixture of two classes, whose conditional and unconditional scores are known.
#include "diffusion/guidance.h"

#include <gtest/gtest.h>

#include <cmath>

#include "diffusion/exact_denoiser.h"
#include "diffusion/noise_levels.h"
#include "framework/autograd/tape.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

constexpr int32_t kNoClass = 2;

// Modes 0 and 2 of three_modes() are class 0, mode 1 is class 1; anything else is all of them.
GaussianMixture of_class(int32_t label) {
  const GaussianMixture all = three_modes();
  GaussianMixture some;
  double total = 0;
  for (int k = 0; k < 3; ++k) {
    if (label < kNoClass && (k == 1 ? 1 : 0) != label) continue;
    some.weights.push_back(all.weights[k]);
    total += all.weights[k];
    for (int d = 0; d < 2; ++d) {
      some.means.push_back(all.means[2 * k + d]);
      some.variances.push_back(all.variances[2 * k + d]);
    }
  }
  for (double& weight : some.weights) weight /= total;
  return some;
}

// The perfect network that is told classes, row by row.
struct ExactConditional {
  explicit ExactConditional(const GaussianDiffusion& process) {
    for (int32_t label = 0; label <= kNoClass; ++label)
      models.push_back(exact_denoiser(of_class(label), process));
  }
  Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& labels) {
    rows_seen.push_back(x.shape()[0]);
    Tensor y;
    for (int64_t n = 0; n < x.shape()[0]; ++n) {
      const Tensor row = models[labels.data<int32_t>()[n]](x.slice(n, n + 1), t.slice(n, n + 1));
      if (!y) y = Tensor::empty(row.shape().with_outer(x.shape()[0]), x.dtype(), x.device());
      y.slice(n, n + 1).copy_from(row);
    }
    return y;
  }
  std::vector<Model> models;
  std::vector<int64_t> rows_seen;
};

// The perfect classifier, with its gradient, of any t: log p(x_t | class) p(class).
Tensor exact_logits(const GaussianDiffusion& process, const Tensor& x, const Tensor& t) {
  const int64_t rows = x.shape()[0];
  std::vector<double> logits, scores;
  for (int64_t n = 0; n < rows; ++n) {
    const NoiseLevel at_t =
        NoiseLevels(process.tables())
            .at_time(t.dtype() == DType::kF64 ? t.data<double>()[n] : t.data<int32_t>()[n]);
    const std::vector<double> point = {at(x, 2 * n), at(x, 2 * n + 1)};
    for (int32_t k = 0; k < kNoClass; ++k) {
      const GaussianMixture own = of_class(k).diffused(at_t.signal, at_t.noise);
      logits.push_back(own.log_density(point) + std::log(k == 0 ? 0.7 : 0.3));
      for (const double s : own.score(point)) scores.push_back(s);
    }
  }
  Tensor y = Tensor::from_host(logits, {rows, kNoClass}, Device::kCpu);
  Tape::record("exact_logits", {x}, y, [slot = x.slot(), scores](const Tensor& dy) {
    Tensor dx = Tensor::empty(slot->shape, DType::kF64, Device::kCpu);
    for (int64_t n = 0; n < dy.shape()[0]; ++n)
      for (int64_t d = 0; d < 2; ++d) {
        double sum = 0;
        for (int64_t k = 0; k < kNoClass; ++k)
          sum += at(dy, kNoClass * n + k) * scores[2 * (kNoClass * n + k) + d];
        dx.data<double>()[2 * n + d] = sum;
      }
    accumulate_grad(slot, dx);
  });
  return y;
}

Model guided_by_classifier(const GaussianDiffusion& process, const Tensor& labels,
                           double strength) {
  return guide_by_classifier(
      process, exact_denoiser(of_class(kNoClass), process),
      [&process](const Tensor& x, const Tensor& t) { return exact_logits(process, x, t); }, labels,
      strength);
}

TEST(Guidance, IsTheScoreOfTheSharpenedPosterior) {
  const GaussianDiffusion process = process_of(R"({"timesteps": 100})");
  ExactConditional exact(process);
  const Tensor labels = steps({0, 1, 0, 1}), t = steps({3, 20, 50, 90});
  const Tensor x = normal({4, 2}, "x");
  for (const double guidance : {0.0, 0.5, 1.0, 3.0}) {
    const Tensor epsilon = guide(std::ref(exact), labels, kNoClass, guidance, DType::kF64)(x, t);
    for (int n = 0; n < 4; ++n) {
      const int32_t step = t.data<int32_t>()[n];
      const double signal = process.tables().signal[step], noise = process.tables().noise[step];
      const std::vector<double> point = {at(x, 2 * n), at(x, 2 * n + 1)};
      // log p(x) + guidance log p(class | x) = (1 - guidance) log p(x) + guidance log p(x | class)
      const auto all = of_class(kNoClass).diffused(signal, noise).score(point);
      const auto own = of_class(labels.data<int32_t>()[n]).diffused(signal, noise).score(point);
      for (int d = 0; d < 2; ++d)
        EXPECT_NEAR(at(epsilon, 2 * n + d), -noise * ((1 - guidance) * all[d] + guidance * own[d]),
                    1e-10)
            << "guidance " << guidance << ", row " << n;
    }
  }
}

TEST(Guidance, GuidesWhateverIsPredicted) {
  // x_0 of a guided velocity is that of the guided epsilon.
  const Tensor labels = steps({1, 0}), t = steps({10, 70}), x = normal({2, 2}, "x");
  std::vector<Tensor> x0;
  for (const char* name : {"epsilon", "velocity", "x0"}) {
    const GaussianDiffusion process =
        process_of(fmt::format(R"({{"timesteps": 100, "parameterization": "{}"}})", name));
    ExactConditional exact(process);
    x0.push_back(
        process.x0(guide(std::ref(exact), labels, kNoClass, 2.5, DType::kF64)(x, t), x, t));
  }
  for (int i = 0; i < 4; ++i)
    for (const Tensor& other : x0) EXPECT_NEAR(at(other, i), at(x0[0], i), 1e-9);
}

TEST(Guidance, AtOneDrawsFromTheClass) {
  const GaussianDiffusion process = process_of(R"({"timesteps": 200})");
  ExactConditional exact(process);
  constexpr int64_t kCount = 600;
  std::vector<int32_t> asked;
  for (int64_t n = 0; n < kCount; ++n) asked.push_back(n % 2);
  const auto sampler = sampler_of(R"({"name": "ddim", "steps": 50, "clip_denoised": false})");
  ReverseChain chain(process, *sampler,
                     guide(std::ref(exact), steps(asked), kNoClass, 1, DType::kF64), {kCount, 2},
                     3);
  const Tensor x = sample(chain, 0);
  double mean = 0;
  for (int64_t n = 0; n < kCount; ++n) {
    const std::vector<double> r =
        three_modes().responsibilities(std::vector<double>{at(x, 2 * n), at(x, 2 * n + 1)});
    EXPECT_EQ(r[1] > 0.5, asked[n] == 1) << n;  // the modes lie ten deviations apart
    if (asked[n] == 1) mean += at(x, 2 * n) / (kCount / 2);
  }
  // Mode 1 has a deviation of 0.07 in the first coordinate: 0.004 for the mean of 300, and DDIM in
  // 50 steps has a bias of its own, below that.
  EXPECT_NEAR(mean, 0.5, 5 * 0.004);
}

TEST(Guidance, CostsOneBatchOfTwiceTheSize) {
  const GaussianDiffusion process = process_of(R"({"timesteps": 100})");
  const Tensor labels = steps({0, 1, 1}), x = normal({2, 2}, "x"), t = steps({5, 6});
  for (const double guidance : {0.0, 1.0, 2.0}) {
    ExactConditional exact(process);
    guide(std::ref(exact), labels, kNoClass, guidance, DType::kF64)(x, t);
    EXPECT_EQ(exact.rows_seen, std::vector<int64_t>{guidance == 2 ? 4 : 2});
  }
}

TEST(Guidance, LeavesALearnedVarianceToTheClass) {
  const GaussianDiffusion process =
      process_of(R"({"timesteps": 100, "variance": "learned_range", "loss": "hybrid"})");
  ExactConditional exact(process);
  const Tensor labels = steps({1, 0}), x = normal({2, 2}, "x"), t = steps({40, 60});
  const Tensor guided = guide(std::ref(exact), labels, kNoClass, 4, DType::kF64)(x, t);
  const Tensor conditional = exact(x, t, labels);
  for (int n = 0; n < 2; ++n)
    for (int d = 2; d < 4; ++d) EXPECT_EQ(at(guided, 4 * n + d), at(conditional, 4 * n + d));
}

TEST(ClassifierGuidance, IsClassifierFreeGuidanceWhereBothAreExact) {
  for (const char* name : {"epsilon", "velocity", "x0", "previous_mean"}) {
    const GaussianDiffusion process =
        process_of(fmt::format(R"({{"timesteps": 100, "parameterization": "{}"}})", name));
    ExactConditional exact(process);
    const Tensor labels = steps({0, 1, 0, 1}), t = steps({3, 20, 50, 99});
    const Tensor x = normal({4, 2}, "x");
    for (const double guidance : {0.0, 0.5, 1.0, 3.0}) {
      const Tensor free = guide(std::ref(exact), labels, kNoClass, guidance, DType::kF64)(x, t);
      const Tensor by = guided_by_classifier(process, labels, guidance)(x, t);
      // previous_mean divides by posterior_x0, 1e-3 at t = 99.
      for (int i = 0; i < 8; ++i)
        EXPECT_NEAR(at(by, i), at(free, i), 1e-9) << name << ", guidance " << guidance;
    }
  }
}

TEST(ClassifierGuidance, IsLinearBetweenTimesteps) {
  const GaussianDiffusion process = process_of(R"({"timesteps": 100})");
  const Tensor labels = steps({0, 1}), x = normal({2, 2}, "x");
  const Tensor t = Tensor::from_host<double>({40.25, 41.0}, {2}, Device::kCpu);
  const Tensor by = guided_by_classifier(process, labels, 1)(x, t);
  for (int n = 0; n < 2; ++n) {
    const NoiseLevel level = NoiseLevels(process.tables()).at_time(t.data<double>()[n]);
    const auto own = of_class(labels.data<int32_t>()[n])
                         .diffused(level.signal, level.noise)
                         .score(std::vector<double>{at(x, 2 * n), at(x, 2 * n + 1)});
    // Between two timesteps a line is off the curve of the noise by 1e-5, the score is below 10.
    for (int d = 0; d < 2; ++d)
      EXPECT_NEAR(at(by, 2 * n + d), -level.noise * own[d], n == 0 ? 1e-4 : 1e-10);
  }
}

TEST(ClassifierGuidance, AtOneDrawsFromTheClass) {
  const GaussianDiffusion process = process_of(R"({"timesteps": 200})");
  constexpr int64_t kCount = 600;
  std::vector<int32_t> asked;
  for (int64_t n = 0; n < kCount; ++n) asked.push_back(n % 2);
  // One between timesteps, and one at them.
  for (const char* sampler : {R"({"name": "dpm_solver", "steps": 30, "clip_denoised": false})",
                              R"({"name": "ancestral", "clip_denoised": false})"}) {
    ReverseChain chain(process, *sampler_of(sampler),
                       guided_by_classifier(process, steps(asked), 1), {kCount, 2}, 3);
    const Tensor x = sample(chain, 0);
    double mean = 0;
    for (int64_t n = 0; n < kCount; ++n) {
      const std::vector<double> r =
          three_modes().responsibilities(std::vector<double>{at(x, 2 * n), at(x, 2 * n + 1)});
      EXPECT_EQ(r[1] > 0.5, asked[n] == 1) << n;  // the modes lie ten deviations apart
      if (asked[n] == 1) mean += at(x, 2 * n) / (kCount / 2);
    }
    EXPECT_NEAR(mean, 0.5, 5 * 0.004);  // as above
  }
}

TEST(ClassifierGuidance, LeavesALearnedVarianceAndNoImageToAnother) {
  const GaussianDiffusion process =
      process_of(R"({"timesteps": 100, "variance": "learned_range", "loss": "hybrid"})");
  const Tensor labels = steps({1, 0, 1}), x = normal({3, 2}, "x"), t = steps({40, 60, 99});
  const Tensor guided = guided_by_classifier(process, labels, 4)(x, t);
  const Tensor plain = exact_denoiser(of_class(kNoClass), process)(x, t);
  const Tensor first = guided_by_classifier(process, labels, 4)(x.slice(0, 1), t.slice(0, 1));
  for (int d = 0; d < 4; ++d) EXPECT_EQ(at(guided, d), at(first, d));
  for (int n = 0; n < 3; ++n) {
    EXPECT_NE(at(guided, 4 * n), at(plain, 4 * n));
    for (int d = 2; d < 4; ++d) EXPECT_EQ(at(guided, 4 * n + d), at(plain, 4 * n + d));
  }
}

TEST(ClassifierGuidance, NeedsASignal) {
  const GaussianDiffusion process = process_of(
      R"({"timesteps": 100, "zero_terminal_snr": true, "parameterization": "velocity"})");
  EXPECT_THROW(guided_by_classifier(process, steps({0}), 1), UserError);
  EXPECT_NO_THROW(guided_by_classifier(process, steps({0}), 0));
}

}  // namespace
}  // namespace ddpm::testing
