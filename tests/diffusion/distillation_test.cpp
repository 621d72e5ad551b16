// Distillation against what it stands for: explicit DDIM steps and the exact flow of a mixture.
#include "diffusion/distillation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "diffusion/distillations/progressive.h"
#include "diffusion/exact_denoiser.h"
#include "diffusion/exact_flow.h"
#include "diffusion/samplers/ddim.h"
#include "framework/autograd/tape.h"
#include "framework/core/check.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

constexpr const char* kVelocity = R"({"parameterization": "velocity"})";

std::unique_ptr<Distillation> distillation_of(const std::string& json) {
  const Config config(ConfigSource::parse_text("{\"distillation\": " + json + "}", "test"));
  std::unique_ptr<Distillation> distillation = read_distillation(config);
  config.finish();
  return distillation;
}

// One step of the DDIM sampler, by the sampler itself: visit `visit` of `steps`, from x.
Tensor sampler_step(const GaussianDiffusion& process, const Model& model, int64_t steps,
                    int64_t visit, const Tensor& x, int64_t count = 1) {
  const auto sampler = sampler_of(fmt::format(
      R"({{"name": "ddim", "steps": {}, "stride": "trailing", "clip_denoised": false}})", steps));
  ReverseChain chain(process, *sampler, model, x.shape(), 1);
  chain.start_from(x, visit, 0);
  for (int64_t i = 0; i < count; ++i) chain.step();
  return Tensor::from_host(chain.x().to_host<double>(), x.shape(), Device::kCpu);
}

// What a network says whose x_0 is this function of x and t.
Model saying_x0(const GaussianDiffusion& process,
                std::function<Tensor(const Tensor& x, int32_t t)> x0) {
  return [&process, x0 = std::move(x0)](const Tensor& x, const Tensor& t) {
    const int32_t step = t.data<int32_t>()[0];
    const auto c = process.parameterization().at(process.tables(), step);
    return scale(subtract(x0(x, step), scale(x, c.x0_from_xt)), 1 / c.x0_from_output);
  };
}

std::vector<int32_t> all_places(int64_t steps) {
  std::vector<int32_t> place;
  for (int32_t i = 0; i < steps; ++i) place.push_back(i);
  return place;
}

// The definition: a student that predicts the target goes in one step of its sampler where the
// teacher's goes in two, from every place of every stage, whatever the teacher predicts.
TEST(ProgressiveDistillation, OneStepOfTheStudentIsTwoOfTheTeacher) {
  const GaussianMixture mixture = three_modes();
  const GaussianDiffusion student = process_of(kVelocity);
  for (const char* teaching : {"velocity", "epsilon", "x0", "previous_mean"}) {
    const GaussianDiffusion teacher =
        process_of(fmt::format(R"({{"parameterization": "{}"}})", teaching));
    const Model exact = exact_denoiser(mixture, teacher);
    for (const int64_t steps : {1, 2, 8, 30}) {
      SCOPED_TRACE(fmt::format("{} steps, {}", steps, teaching));
      const ProgressiveObjective objective(student, teacher, steps, false);
      for (int32_t place = 0; place < steps; ++place) {
        const Tensor x = normal({5, 2}, "x");
        const std::vector<int32_t> same(5, place);
        const Tensor x0 = objective.target(exact, x, ddpm::testing::steps(same));
        const Model saying = saying_x0(student, [&](const Tensor&, int32_t) { return x0; });
        const Tensor one = sampler_step(student, saying, steps, steps - 1 - place, x);
        const Tensor two = sampler_step(teacher, exact, 2 * steps, 2 * (steps - 1 - place), x, 2);
        // previous_mean and epsilon amplify rounding by up to 1e4 at the last timesteps.
        for (int64_t i = 0; i < x.numel(); ++i) EXPECT_NEAR(at(one, i), at(two, i), 1e-10);
      }
    }
  }
}

// The same x_0 by the paper's own formula, which solves the student's step for it.
TEST(ProgressiveDistillation, TargetIsThePapers) {
  const GaussianMixture mixture = three_modes();
  const GaussianDiffusion process = process_of(R"({"parameterization": "x0"})");
  const Model exact = exact_denoiser(mixture, process);
  constexpr int64_t kSteps = 20;
  const ProgressiveObjective objective(process, process, kSteps, false);
  const auto place = all_places(kSteps);
  const Tensor x = normal({kSteps, 2}, "x");
  const Tensor target = objective.target(exact, x, steps(place));
  const DiffusionTables& tables = process.tables();
  const auto alpha = [&](int64_t t) { return t < 0 ? 1 : tables.signal[static_cast<size_t>(t)]; };
  const auto sigma = [&](int64_t t) { return t < 0 ? 0 : tables.noise[static_cast<size_t>(t)]; };
  for (int64_t n = 0; n < kSteps; ++n) {
    const int64_t t = 50 * (n + 1) - 1, m = t - 25, s = t - 50;
    const std::vector<double> z = {at(x, 2 * n), at(x, 2 * n + 1)};
    const auto x0 = denoise(mixture, z, alpha(t), sigma(t)).mean;
    std::vector<double> middle(2);
    for (size_t i = 0; i < 2; ++i)
      middle[i] = alpha(m) * x0[i] + sigma(m) / sigma(t) * (z[i] - alpha(t) * x0[i]);
    const auto x1 = denoise(mixture, middle, alpha(m), sigma(m)).mean;
    for (size_t i = 0; i < 2; ++i) {
      const double end = alpha(s) * x1[i] + sigma(s) / sigma(m) * (middle[i] - alpha(m) * x1[i]);
      const double ratio = sigma(s) / sigma(t);
      const double papers = (end - ratio * z[i]) / (alpha(s) - ratio * alpha(t));
      // The formula subtracts numbers that differ by the step's share; ours does not.
      EXPECT_NEAR(at(target, 2 * n + static_cast<int64_t>(i)), papers, 1e-11) << n;
    }
  }
}

TEST(ProgressiveDistillation, LossIsTheWeightedErrorOfX0) {
  const GaussianDiffusion process = process_of(kVelocity);
  const Model exact = exact_denoiser(three_modes(), process);
  const Model shifted = [&](const Tensor& x, const Tensor& t) {
    return add(exact(x, t), constant(x.shape(), 0.1));
  };
  const ProgressiveObjective objective(process, process, 4, false);
  const Tensor x0 = points(three_modes(), 0, 4), noise = normal({4, 2}, "noise");
  const Tensor place = steps(all_places(4)), t = steps({249, 499, 749, 999});
  const Tensor x_t = process.q_sample(x0, t, noise);
  const Tensor target = objective.target(exact, x_t, place);
  const Tensor said = x0_of(process, shifted, x_t, t);
  const Tensor loss = objective.losses({.student = shifted, .teacher = exact}, x0, place, noise);
  for (int64_t n = 0; n < 4; ++n) {
    double error = 0;
    for (int64_t i = 2 * n; i < 2 * n + 2; ++i)
      error += std::pow(at(said, i) - at(target, i), 2) / 2;
    const double snr = process.tables().snr[static_cast<size_t>(t.data<int32_t>()[n])];
    EXPECT_NEAR(at(loss, n), std::max(snr, 1.0) * error, 1e-12);
  }
  EXPECT_GT(process.tables().snr[249], 1);  // both sides of the maximum were seen
  EXPECT_LT(process.tables().snr[999], 1);
}

// The teacher's weights are no part of what is learned, the student's are.
TEST(ProgressiveDistillation, OnlyTheStudentHasAGradient) {
  const GaussianDiffusion process = process_of(kVelocity);
  const ProgressiveObjective objective(process, process, 4, true);
  Tensor weight = constant({4, 2}, 0.3);
  weight.set_requires_grad(true);
  const Model student = [&](const Tensor& x, const Tensor&) { return multiply(x, weight); };
  const Tensor frozen = constant({4, 2}, 0.3);
  const Model teacher = [&](const Tensor& x, const Tensor&) { return multiply(x, frozen); };
  Tape tape;
  tape.backward(
      sum(objective.losses({.student = student, .teacher = teacher}, points(three_modes(), 0, 4),
                           steps(all_places(4)), normal({4, 2}, "noise"))));
  ASSERT_TRUE(weight.grad());
  EXPECT_NE(at(weight.grad(), 0), 0);
}

// A chain of perfect students, 512 -> 1: the map that is left is DDIM of 1024 steps, and that is
// the exact flow up to DDIM's own error, which is of first order in the step.
TEST(ProgressiveDistillation, PerfectStudentsOfAChainEndAtTheFlow) {
  const GaussianMixture mixture = three_modes();
  constexpr const char* kProcess =
      R"({"parameterization": "velocity", "timesteps": 2048, "schedule":
          {"name": "linear", "beta_start": 5e-5, "beta_end": 0.01}})";
  const GaussianDiffusion process = process_of(kProcess);
  const Model exact = exact_denoiser(mixture, process);
  const Shape shape{40, 2};
  const Tensor x = normal(shape, "x_T");
  const NoiseLevels levels(process.tables());
  const std::vector<double> flow =
      exact_flow(mixture, x.to_host<double>(), levels.last(), levels.first());
  const auto error = [&](int64_t teacher_steps) {
    // Every student is the teacher's target itself, so that one step recurses through the chain.
    std::vector<std::unique_ptr<ProgressiveObjective>> chain;
    Model teacher = exact;
    for (int64_t steps = teacher_steps / 2; steps >= 1; steps /= 2) {
      chain.push_back(std::make_unique<ProgressiveObjective>(process, process, steps, false));
      teacher = saying_x0(process, [&process, objective = chain.back().get(), teacher, steps](
                                       const Tensor& x_t, int32_t t) {
        const int64_t place = (t + 1) * steps / process.timesteps() - 1;
        const std::vector<int32_t> same(static_cast<size_t>(x_t.shape()[0]),
                                        static_cast<int32_t>(place));
        return objective->target(teacher, x_t, ddpm::testing::steps(same));
      });
    }
    const Tensor one = sampler_step(process, teacher, 1, 0, x);
    double total = 0;
    for (int64_t i = 0; i < x.numel(); ++i)
      total += std::pow(at(one, i) - flow[static_cast<size_t>(i)], 2);
    return std::sqrt(total / static_cast<double>(x.numel()));
  };
  const double coarse = error(32), fine = error(256);
  // The modes are ~1 apart and 0.1 wide; eight times the steps, an eighth of the error, or nearly.
  EXPECT_LT(fine, 0.02);
  EXPECT_LT(fine, coarse / 5);
}

// What consistency distillation has as its solution: the student that ends every path where the
// teacher's DDIM of as many steps does. Its loss is zero from every place; another's is not.
TEST(ConsistencyDistillation, TheTeachersSamplerIsItsSolution) {
  const GaussianMixture mixture = three_modes();
  const GaussianDiffusion process = process_of(kVelocity);
  const Model exact = exact_denoiser(mixture, process);
  constexpr int64_t kSteps = 8;
  const auto objective = distillation_of(R"({"name": "consistency", "teacher": "-", "steps": 8,
                          "clip_denoised": false})")
                             ->objective(process, process);
  EXPECT_EQ(objective->places(), kSteps);
  const Model ends = saying_x0(process, [&](const Tensor& x, int32_t t) {
    const int64_t place = (t + 1) * kSteps / 1000 - 1;
    if (place < 0) return x;  // asked for the clean image, where the answer is not used
    return sampler_step(process, exact, kSteps, kSteps - 1 - place, x, place + 1);
  });
  const Tensor x0 = points(mixture, 0, 5), noise = normal({5, 2}, "noise");
  for (int32_t place = 0; place < kSteps; ++place) {
    const auto losses = [&](const Model& student) {
      return objective->losses({.student = student, .teacher = exact, .target = student}, x0,
                               steps(std::vector<int32_t>(5, place)), noise);
    };
    const Tensor none = losses(ends), some = losses(exact);
    for (int64_t n = 0; n < 5; ++n) EXPECT_NEAR(at(none, n), 0, 1e-20) << place;
    // One step to the end is what the denoiser is, at the first place only.
    EXPECT_EQ(at(some, 0) < 1e-20, place == 0) << place << ": " << at(some, 0);
  }
}

// Training's second point is the data's own, and the first target is the image.
TEST(ConsistencyTraining, ComparesTwoNoiseLevelsOfOneImage) {
  const GaussianDiffusion process = process_of(kVelocity);
  const auto objective =
      distillation_of(R"({"name": "consistency_training", "teacher": "-", "steps": 4,
                          "clip_denoised": false})")
          ->objective(process, process);
  const Tensor x0 = points(three_modes(), 0, 4), noise = normal({4, 2}, "noise");
  const Tensor place = steps(all_places(4)), t = steps({249, 499, 749, 999});
  const Tensor s = steps({0, 249, 499, 749});
  const Model student = [](const Tensor& x, const Tensor&) { return scale(x, 0.3); };
  const Model target = [](const Tensor& x, const Tensor&) { return scale(x, 0.4); };
  const Tensor loss =
      objective->losses({.student = student, .teacher = {}, .target = target}, x0, place, noise);
  const Tensor said = x0_of(process, student, process.q_sample(x0, t, noise), t);
  const Tensor aim = x0_of(process, target, process.q_sample(x0, s, noise), s);
  for (int64_t n = 0; n < 4; ++n) {
    double expected = 0;
    for (int64_t i = 2 * n; i < 2 * n + 2; ++i)
      expected += std::pow(at(said, i) - (n == 0 ? at(x0, i) : at(aim, i)), 2) / 2;
    EXPECT_NEAR(at(loss, n), expected, 1e-14);
  }
}

// One step is DDIM's; of two, the first ends at signal_s x_0 + noise_s z.
TEST(ConsistencySampler, NoisesItsEstimateAnew) {
  const GaussianDiffusion process = process_of(kVelocity);
  const Model exact = exact_denoiser(three_modes(), process);
  constexpr int64_t kCount = 4000;
  const Tensor x = normal({kCount, 2}, "x");
  const auto run = [&](int64_t steps, int64_t count) {
    const auto sampler = sampler_of(
        fmt::format(R"({{"name": "consistency", "steps": {}, "clip_denoised": false}})", steps));
    ReverseChain chain(process, *sampler, exact, x.shape(), 1);
    chain.start_from(x, 0, 0);
    for (int64_t i = 0; i < count; ++i) chain.step();
    return chain.x().to_host<double>();
  };
  EXPECT_EQ(run(1, 1), sampler_step(process, exact, 1, 0, x).to_host<double>());
  const std::vector<double> middle = run(2, 1);
  const Tensor x0 =
      x0_of(process, exact, x, steps(std::vector<int32_t>(static_cast<size_t>(kCount), 999)));
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < 2 * kCount; ++i) {
    const double z = (middle[static_cast<size_t>(i)] - process.tables().signal[499] * at(x0, i)) /
                     process.tables().noise[499];
    sum += z;
    squares += z * z;
  }
  // Five standard errors of the moments of 8000 normals.
  EXPECT_NEAR(sum / (2 * kCount), 0, 5 / std::sqrt(2 * kCount));
  EXPECT_NEAR(squares / (2 * kCount), 1, 5 * std::sqrt(2.0 / (2 * kCount)));
}

// Whatever the student predicts, it is what the teacher says in its terms.
TEST(OutputDistillation, TargetIsTheTeachersPredictionInTheStudentsTerms) {
  const GaussianMixture mixture = three_modes();
  const std::vector<int32_t> at_steps = {0, 1, 100, 500, 999};
  const Tensor x0 = points(mixture, 0, 5), noise = normal({5, 2}, "noise");
  for (const char* teaching : {"epsilon", "velocity", "x0", "previous_mean"})
    for (const char* learning : {"epsilon", "velocity", "x0"}) {
      const GaussianDiffusion teacher =
          process_of(fmt::format(R"({{"parameterization": "{}"}})", teaching));
      const GaussianDiffusion student =
          process_of(fmt::format(R"({{"parameterization": "{}"}})", learning));
      const auto objective = distillation_of(R"({"name": "output", "teacher": "-",
                                                 "clip_denoised": false})")
                                 ->objective(student, teacher);
      const Model exact = exact_denoiser(mixture, student);
      const Model shifted = [&](const Tensor& x, const Tensor& t) {
        return add(exact(x, t), constant(x.shape(), 0.1));
      };
      const Model taught = exact_denoiser(mixture, teacher);
      const auto losses = [&](const Model& model) {
        return objective->losses({.student = model, .teacher = taught}, x0, steps(at_steps), noise);
      };
      const Tensor none = losses(exact), some = losses(shifted);
      for (int64_t n = 0; n < 5; ++n) {
        EXPECT_NEAR(at(none, n), 0, 1e-16) << teaching << " to " << learning;
        EXPECT_NEAR(at(some, n), 0.01, 1e-8) << teaching << " to " << learning;
      }
    }
}

void expect_refusal(const std::string& distillation, const std::string& student,
                    const std::string& teacher, const std::string& message) {
  const GaussianDiffusion s = process_of(student), t = process_of(teacher);
  try {
    static_cast<void>(distillation_of(distillation)->objective(s, t));
    FAIL() << message;
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
  }
}

TEST(Distillation, RefusesWhatCannotBeDistilled) {
  const std::string eight = R"({"name": "progressive", "teacher": "runs/t", "steps": 8})";
  expect_refusal(eight, "{}", kVelocity, "'velocity' and 'x0' can be distilled");
  expect_refusal(eight, R"({"parameterization": "previous_mean"})", kVelocity,
                 "'velocity' and 'x0' can be distilled");
  expect_refusal(R"({"name": "progressive", "teacher": "runs/t", "steps": 501})", kVelocity,
                 kVelocity, "the process has only 1000 timesteps; at most 500");
  expect_refusal(R"({"name": "consistency", "teacher": "runs/t", "steps": 8})",
                 R"({"parameterization": "x0"})", kVelocity, "'velocity' does");
  expect_refusal(eight, kVelocity, R"({"schedule": "cosine"})",
                 "distillation.teacher runs/t: its noise levels");
  expect_refusal(eight, kVelocity, R"({"timesteps": 500})", "diffusion.timesteps 500");
}

TEST(Distillation, TrailingStridesAreNested) {
  for (const int64_t total : {37, 1000}) {
    const std::vector<int32_t> fine = trailing_timesteps(total, 16);
    const std::vector<int32_t> coarse = trailing_timesteps(total, 8);
    for (size_t i = 0; i < coarse.size(); ++i) EXPECT_EQ(coarse[i], fine[2 * i + 1]);
    EXPECT_EQ(fine.back(), total - 1);
  }
}

}  // namespace
}  // namespace ddpm::testing
