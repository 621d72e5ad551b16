#include "diffusion/progressive_coding.h"

#include <gtest/gtest.h>

#include <cmath>

#include "diffusion/exact_denoiser.h"
#include "diffusion/likelihood.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

const char* kProcess = R"({"timesteps": 40, "schedule": "cosine", "variance": "learned",
                           "loss": "variational"})";

// Likelihood draws each x_t afresh, coding draws them one after the other: the laws of each x_t,
// and so all expected code lengths and errors, are equal.
TEST(ProgressiveCoding, SpendsWhatTheBoundSays) {
  const GaussianMixture mixture = three_modes();
  const GaussianDiffusion process = process_of(kProcess, 256);
  const Model model = exact_denoiser(mixture, process);
  const Tensor x0 = points(mixture, 0, 3000);
  Likelihood likelihood(process, model, {});
  likelihood.add(x0, 0);
  const VariationalBound& bound = likelihood.report().bound("model", true);

  std::vector<double> before(3000);
  int32_t expected_t = 39;
  code_progressively(process, model, x0, 1, 0, true, [&](const ReceivedStep& step) {
    ASSERT_EQ(step.t, expected_t--);
    Estimate spent, error;
    for (int64_t n = 0; n < 3000; ++n) {
      spent.add(step.bits[n] - before[n]);
      for (int64_t d = 2 * n; d < 2 * n + 2; ++d)
        error.add(std::pow(at(step.x0, d) - at(x0, d), 2));
    }
    before = step.bits;
    const Estimate& term =
        step.t == 39 ? likelihood.report().prior : bound.terms[static_cast<size_t>(step.t + 1)];
    // The images are the same; their noise is not. 4.5 standard errors: there are 80 comparisons.
    EXPECT_NEAR(spent.mean(), term.mean(), 4.5 * term.standard_error() + 1e-12) << step.t;
    if (step.t >= 0) {
      const Estimate& mse =
          likelihood.report().reconstructions[0].squared_error[static_cast<size_t>(step.t)];
      EXPECT_NEAR(error.mean(), mse.mean(), 4.5 * (mse.standard_error() + error.standard_error()))
          << step.t;
    } else {
      EXPECT_EQ(error.mean(), 0) << "the image itself";
    }
  });
  EXPECT_EQ(expected_t, -2);
}

TEST(ProgressiveCoding, DoesNotDependOnTheBatchSplit) {
  const GaussianMixture mixture = three_modes();
  const GaussianDiffusion process = process_of(kProcess, 256);
  const auto bits = [&](int64_t first, int64_t count) {
    std::vector<double> all;
    code_progressively(process, exact_denoiser(mixture, process), points(mixture, first, count), 1,
                       first, true,
                       [&](const ReceivedStep& step) { all.insert(all.end(), step.bits.back()); });
    return all;
  };
  EXPECT_EQ(bits(0, 6), bits(5, 1)) << "the last of six, and the sixth alone";
}

}  // namespace
}  // namespace ddpm::testing
