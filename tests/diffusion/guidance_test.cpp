// Guidance on a mixture of two classes, whose conditional and unconditional scores are known.
#include "diffusion/guidance.h"

#include <gtest/gtest.h>

#include <cmath>

#include "diffusion/exact_denoiser.h"
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

}  // namespace
}  // namespace ddpm::testing
