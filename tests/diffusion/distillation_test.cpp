// The targets of distillation: what the student's one step must be, with the exact denoiser as the
// teacher.
#include "diffusion/distillation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "diffusion/exact_denoiser.h"
#include "diffusion/samplers/ddim.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

constexpr int64_t kSteps = 8, kRows = 5;

// A DDIM sampler of so many steps, from visit `first`, for `count` steps.
Tensor ddim(const GaussianDiffusion& process, const Model& model, int64_t steps, bool clip,
            const Tensor& x, int64_t first, int count) {
  const auto sampler =
      sampler_of(fmt::format(R"({{"name": "ddim", "steps": {}, "stride": "trailing",
                                  "clip_denoised": {}}})",
                             steps, clip));
  ReverseChain chain(process, *sampler, model, x.shape(), 0);
  chain.start_from(x, first, 0);
  for (int i = 0; i < count; ++i) chain.step();
  return Tensor::from_host(chain.x().to_host<double>(), x.shape(), Device::kCpu);
}

class ProgressiveDistillation : public ::testing::TestWithParam<std::tuple<const char*, bool>> {};

// At every level one step of a student that names the target ends where two of the teacher's do.
TEST_P(ProgressiveDistillation, OneStepOfTheStudentIsTwoOfTheTeacher) {
  const auto [json, clip] = GetParam();
  const GaussianDiffusion process = process_of(json);
  const Model teacher = exact_denoiser(three_modes(), process);
  const ProgressiveTarget target(process, kSteps, clip);
  ASSERT_EQ(target.levels(), kSteps);
  for (int32_t level = 0; level < kSteps; ++level) {
    const Tensor levels = steps(std::vector<int32_t>(kRows, level));
    const Tensor x_t = process.q_sample(points(three_modes(), 0, kRows), target.timesteps(levels),
                                        normal({kRows, 2}, "noise"));
    const Tensor x0 = target.x0(teacher, x_t, levels);
    const Model student = [&](const Tensor& x, const Tensor& t) {
      return process.output_of(x0, x, t);
    };
    const int64_t visit = kSteps - 1 - level;
    const Tensor expected = ddim(process, teacher, 2 * kSteps, clip, x_t, 2 * visit, 2);
    // The target is a mean of two clipped x_0: no further clipping changes it.
    const Tensor actual = ddim(process, student, kSteps, clip, x_t, visit, 1);
    for (int64_t i = 0; i < 2 * kRows; ++i)
      EXPECT_NEAR(at(actual, i), at(expected, i), 1e-11) << "level " << level;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ProgressiveDistillation,
    ::testing::Combine(::testing::Values("{}", R"({"parameterization": "velocity"})",
                                         R"({"parameterization": "x0", "schedule": "cosine"})",
                                         R"({"parameterization": "velocity",
                                             "zero_terminal_snr": true})"),
                       ::testing::Bool()));

// Down to one step: the map of the chain of targets is the teacher's whole DDIM.
TEST(Distillation, PerfectStudentsOfStudentsEndWithTheTeachersMap) {
  const GaussianDiffusion process = process_of(R"({"parameterization": "velocity"})");
  const Model teacher = exact_denoiser(three_modes(), process);
  // A student that is perfect by asking its teacher: a function of x_t and of the level it is at.
  Model student = teacher;
  for (const int64_t steps_of_student : {4, 2, 1}) {
    const auto target =
        std::make_shared<ProgressiveTarget>(process, steps_of_student, /*clip=*/false);
    student = [target, &process, of = student](const Tensor& x, const Tensor& t) {
      int32_t level = 0;
      while (target->timesteps(steps({level})).data<int32_t>()[0] != t.data<int32_t>()[0]) ++level;
      const Tensor levels = steps(std::vector<int32_t>(static_cast<size_t>(x.shape()[0]), level));
      return process.output_of(target->x0(of, x, levels), x, t);
    };
  }
  const Tensor x_T = normal({kRows, 2}, "x_T");
  const Tensor expected = ddim(process, teacher, 8, false, x_T, 0, 8);
  const Tensor actual = ddim(process, student, 1, false, x_T, 0, 1);
  for (int64_t i = 0; i < 2 * kRows; ++i) EXPECT_NEAR(at(actual, i), at(expected, i), 1e-10);
}

TEST(Distillation, OutputsOfOneParameterizationBecomeThoseOfAnother) {
  const GaussianDiffusion epsilon = process_of("{}");
  const Model teacher = exact_denoiser(three_modes(), epsilon);
  for (const std::string& name : parameterizations().names()) {
    const GaussianDiffusion student =
        process_of(fmt::format(R"({{"parameterization": "{}"}})", name));
    const Model exact = exact_denoiser(three_modes(), student);
    const OutputTarget target(epsilon);
    EXPECT_EQ(target.levels(), 1000);
    const Tensor t = steps({0, 10, 300, 700, 999});
    const Tensor x_t =
        student.q_sample(points(three_modes(), 0, kRows), t, normal({kRows, 2}, "noise"));
    const Tensor x0 = target.x0(teacher, x_t, t);
    const Tensor expected = exact(x_t, t), actual = student.output_of(x0, x_t, t);
    for (int64_t i = 0; i < 2 * kRows; ++i)
      EXPECT_NEAR(at(actual, i), at(expected, i), 1e-9) << name;
    // A student that says so has nothing left to learn.
    const Tensor losses = student.distillation_losses(exact, x_t, t, x0);
    for (int64_t i = 0; i < kRows; ++i) EXPECT_LT(at(losses, i), 1e-17) << name;
  }
}

TEST(Distillation, ATeacherNeedsEnoughSteps) {
  const GaussianDiffusion process = process_of(R"({"timesteps": 10})");
  EXPECT_NO_THROW(ProgressiveTarget(process, 5, true));
  EXPECT_THROW(ProgressiveTarget(process, 6, true), UserError);
}

}  // namespace
}  // namespace ddpm::testing
