// The process with every parameterization, variance and loss.
#include "diffusion/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "diffusion/exact_denoiser.h"
#include "framework/autograd/tape.h"
#include "framework/ops/concat.h"
#include "framework/ops/reduce.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kParameterizations = {"epsilon", "x0", "previous_mean", "step_noise",
                                                     "velocity"};

std::string predicting(const std::string& parameterization, const std::string& more = "") {
  return "{\"parameterization\": \"" + parameterization + "\"" + more + "}";
}

const Tensor kSteps = steps({0, 1, 10, 500, 999});
const Shape kShape{5, 3, 2};

TEST(Process, EveryTargetDeterminesX0) {
  const Tensor x0 = normal(kShape, "x0"), noise = normal(kShape, "noise");
  for (const std::string& name : kParameterizations) {
    const GaussianDiffusion p = process_of(predicting(name));
    const Tensor x_t = p.q_sample(x0, kSteps, noise);
    const Tensor recovered = p.x0(p.target(x0, noise, kSteps), x_t, kSteps);
    const Tensor mean = p.mean(p.target(x0, noise, kSteps), x_t, kSteps);
    const Normal q = p.q_posterior(x0, x_t, kSteps);
    for (int64_t i = 0; i < x0.numel(); ++i) {
      EXPECT_NEAR(at(recovered, i), at(x0, i), 1e-10) << name << " " << i;
      EXPECT_NEAR(at(mean, i), at(q.mean, i), 1e-13) << name << " " << i;
    }
  }
}

TEST(Process, AllParameterizationsOfTheExactModelHaveOnePosteriorMean) {
  const GaussianMixture mixture = three_modes();
  const Tensor x_t = normal({5, 2}, "x_t");
  const auto mean_of = [&](const std::string& name) {
    const GaussianDiffusion p = process_of(predicting(name));
    return p.p_mean_variance(exact_denoiser(mixture, p)(x_t, kSteps), x_t, kSteps, false)
        .mean.to_host<double>();
  };
  const std::vector<double> expected = mean_of("epsilon");
  for (const std::string& name : kParameterizations) {
    const std::vector<double> mean = mean_of(name);
    for (size_t i = 0; i < mean.size(); ++i) EXPECT_NEAR(mean[i], expected[i], 1e-10) << name;
  }
}

TEST(Process, QSampleHasTheMarginalMoments) {
  const GaussianDiffusion p = process_of("{}");
  constexpr int64_t kCount = 20000;
  const Tensor noise = normal({1, kCount}, "moments"), x0 = constant({1, kCount}, 0.8);
  const Tensor x_t = p.q_sample(x0, steps({300}), noise);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < kCount; ++i) {
    sum += at(x_t, i);
    squares += at(x_t, i) * at(x_t, i);
  }
  const double mean = sum / kCount, variance = squares / kCount - mean * mean;
  const double expected = 1 - p.tables().alpha_bar[300];
  EXPECT_NEAR(mean, 0.8 * p.tables().signal[300], 4 * std::sqrt(expected / kCount));
  EXPECT_NEAR(variance, expected, 4 * expected * std::sqrt(2.0 / kCount));
}

TEST(Process, ClippingMovesTheMeanExceptOfPreviousMean) {
  const Tensor x_t = constant({1, 2}, 0.5), t = steps({500});
  for (const std::string& name : kParameterizations) {
    const GaussianDiffusion p = process_of(predicting(name));
    const Tensor output = constant({1, 2}, 40);
    const auto free = p.p_mean_variance(output, x_t, t, false);
    const auto clipped = p.p_mean_variance(output, x_t, t, true);
    EXPECT_EQ(std::abs(at(clipped.x0, 0)), 1) << name;
    if (name == "previous_mean") {
      EXPECT_EQ(at(clipped.mean, 0), at(free.mean, 0));
      EXPECT_NEAR(at(clipped.mean, 0), 40, 1e-12) << "the mean is the network's output";
    } else {
      EXPECT_NE(at(clipped.mean, 0), at(free.mean, 0)) << name;
    }
  }
  const GaussianDiffusion p =
      process_of(R"({"parameterization": {"name": "previous_mean", "clip_mean": true}})");
  const auto clipped = p.p_mean_variance(constant({1, 2}, 40), x_t, t, true);
  EXPECT_DOUBLE_EQ(at(clipped.mean, 0), at(p.q_posterior(clipped.x0, x_t, t).mean, 0));
}

TEST(Process, EpsilonIsRefusedWhereNothingOfX0IsLeft) {
  try {
    process_of(R"({"schedule": "jsd"})");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("use x0 or velocity"));
  }
  for (const char* name : {"x0", "velocity", "previous_mean"}) {
    const GaussianDiffusion p = process_of(predicting(name, ", \"schedule\": \"jsd\""));
    const Tensor x0 = normal(kShape, "x0"), noise = normal(kShape, "noise");
    const Tensor x_t = p.q_sample(x0, kSteps, noise);
    const Tensor recovered = p.x0(p.target(x0, noise, kSteps), x_t, kSteps);
    for (int64_t i = 0; i < x0.numel(); ++i) EXPECT_NEAR(at(recovered, i), at(x0, i), 1e-9);
  }
}

TEST(Process, PriorTerm) {
  const GaussianDiffusion p = process_of("{}");
  EXPECT_NEAR(at(p.prior_term(constant({1, 4}, 0.5)), 0), 7.28e-6, 0.01e-6);
  EXPECT_NEAR(at(p.prior_term(constant({1, 4}, 1.0)), 0), 2.91e-5, 0.01e-5);
}

TEST(Process, FixedLargeCostsHalfABitEvenWithAPerfectMean) {
  const GaussianDiffusion p = process_of("{}");
  std::vector<int32_t> all;
  for (int32_t t = 1; t < 1000; ++t) all.push_back(t);
  const Tensor t = steps(all), x0 = constant({999, 1}, 0.2), noise = normal({999, 1}, "noise");
  const Tensor x_t = p.q_sample(x0, t, noise);
  const Tensor terms = p.bound_term(
      x0, x_t, t, {p.q_posterior(x0, x_t, t).mean, p.log_variance(Tensor(), t, x0.shape())});
  double total = 0;
  for (int i = 0; i < 999; ++i) total += at(terms, i);
  EXPECT_NEAR(total, 0.4864, 5e-5);
  EXPECT_NEAR(at(terms, 0), 0.175, 5e-4);
  EXPECT_NEAR(at(terms, 1), 0.0746, 5e-5);
}

TEST(Process, LearnedRangeInterpolatesBetweenTheFixedVariances) {
  const GaussianDiffusion p = process_of(R"({"variance": "learned_range", "loss": "hybrid"})");
  const Tensor t = steps({7});
  const auto log_variance = [&](double v) {
    return at(p.log_variance(constant({1, 1}, v), t, {1, 1}), 0);
  };
  EXPECT_NEAR(log_variance(-1), p.tables().posterior_log_variance[7], 1e-14);
  EXPECT_NEAR(log_variance(1), std::log(p.tables().beta[7]), 1e-14);
}

// A model that knows x_0: no loss but that of the variance.
TEST(Losses, VanishForAModelThatKnowsTheAnswer) {
  const Tensor x0 = normal(kShape, "x0"), noise = normal(kShape, "noise");
  for (const std::string& name : kParameterizations) {
    const GaussianDiffusion simple = process_of(predicting(name));
    const auto knowing = [&](const Tensor&, const Tensor& t) {
      return simple.target(x0, noise, t);
    };
    const Tensor mse = simple.training_losses(knowing, x0, kSteps, noise);
    const GaussianDiffusion bound =
        process_of(predicting(name, R"(, "variance": "fixed_small", "loss": "variational")"));
    const Tensor kl = bound.training_losses(knowing, x0, kSteps, noise);
    for (int n = 0; n < 5; ++n) {
      EXPECT_EQ(at(mse, n), 0) << name;
      if (n > 0) {
        EXPECT_NEAR(at(kl, n), 0, 1e-12) << name;
      }
    }
    // At t = 0 the entropy of the decoder's normal remains, minus half a unit: its mean is exact.
    EXPECT_NEAR(at(kl, 0),
                0.5 * (std::log(2 * M_PI) + bound.tables().posterior_log_variance[0]) / std::log(2),
                1e-10);
  }
}

TEST(Losses, VariationalUsesTheDecoderOfTheLevelsAtTheFirstStep) {
  const GaussianDiffusion p = process_of(R"({"loss": "variational"})", 256);
  const Tensor x0 = constant({2, 4}, 1 / 255.0), noise = constant({2, 4}, 0), t = steps({0, 1});
  const auto knowing = [&](const Tensor&, const Tensor& at_t) { return p.target(x0, noise, at_t); };
  const Tensor loss = p.training_losses(knowing, x0, t, noise);
  // The mean is x_0, so the bin's mass is erf(z / sqrt 2) with z half a bin in deviations; the
  // decoder's CDF is an approximation of it.
  const double z = std::exp(-0.5 * p.tables().posterior_log_variance[0]) / 255;
  EXPECT_NEAR(at(loss, 0), -std::log2(std::erf(z / std::sqrt(2))), 1e-3);
  EXPECT_GT(at(loss, 1), 0.17) << "fixed_large has a KL even with the right mean";
}

TEST(Losses, HybridTrainsTheMeanByTheErrorAndTheVarianceByTheBound) {
  const Tensor x0 = normal(kShape, "x0"), noise = normal(kShape, "noise");
  const Tensor prediction = normal(kShape, "prediction"), variance = normal(kShape, "variance");
  // Gradients by the two halves of the output.
  const auto gradients = [&](const std::string& json) {
    const GaussianDiffusion p = process_of(json);
    Tensor mean_half = prediction.detach(), variance_half = variance.detach();
    mean_half.set_requires_grad(true);
    variance_half.set_requires_grad(true);
    Tape tape;
    const auto model = [&](const Tensor&, const Tensor&) {
      return p.variance().learned() ? concat_channels(mean_half, variance_half) : mean_half;
    };
    tape.backward(sum(p.training_losses(model, x0, kSteps, noise)));
    std::vector<std::vector<double>> result{mean_half.grad().to_host<double>()};
    if (p.variance().learned()) result.push_back(variance_half.grad().to_host<double>());
    return result;
  };
  const auto hybrid =
      gradients(R"({"variance": "learned_range", "loss": {"name": "hybrid", "lambda": 0.002}})");
  const auto bound = gradients(R"({"variance": "learned_range", "loss": "variational"})");
  const auto simple = gradients("{}");
  for (size_t i = 0; i < hybrid[0].size(); ++i) {
    EXPECT_NEAR(hybrid[0][i], simple[0][i], 1e-12);
    EXPECT_NEAR(hybrid[1][i], 0.002 * 1000 * bound[1][i], 1e-9 * (1 + std::abs(hybrid[1][i])));
    EXPECT_NE(bound[0][i], 0);
  }
}

TEST(Losses, RefuseAVarianceTheyCannotTrain) {
  const auto message = [](const std::string& json) -> std::string {
    try {
      variant_of(json);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message(R"({"variance": "learned"})"), HasSubstr("no gradient"));
  EXPECT_THAT(message(R"({"loss": "hybrid"})"), HasSubstr("trains a learned variance"));
  EXPECT_THAT(message(R"({"schedule": "linaer"})"), HasSubstr("linear"));
  EXPECT_EQ(message(R"({"variance": "learned", "loss": "variational"})"), "");
}

}  // namespace
}  // namespace ddpm::testing
