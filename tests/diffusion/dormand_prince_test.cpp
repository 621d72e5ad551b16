// The integrator alone, on equations whose solutions are known.
#include "diffusion/dormand_prince.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "diffusion/solver_bench.h"
#include "framework/core/check.h"

namespace ddpm::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// y' = w cos(w s) y and y = exp(sin(w s)), of which every problem has another w.
struct Waves {
  std::vector<double> frequencies;

  Derivative derivative() const {
    return [this](const std::vector<double>& s, const std::vector<double>& y,
                  std::vector<double>& dy) {
      for (size_t n = 0; n < frequencies.size(); ++n)
        dy[n] = frequencies[n] * std::cos(frequencies[n] * s[n]) * y[n];
    };
  }
  OdeSolution solve(double from, double to, const OdeOptions& options) const {
    std::vector<double> y;
    for (const double w : frequencies) y.push_back(std::exp(std::sin(w * from)));
    return integrate(derivative(), from, to, y, {1}, options);
  }
  double error(const OdeSolution& solution, double at) const {
    double worst = 0;
    for (size_t n = 0; n < frequencies.size(); ++n)
      worst = std::max(worst, std::abs(solution.y[n] - std::exp(std::sin(frequencies[n] * at))));
    return worst;
  }
};

TEST(DormandPrince, IsOfFifthOrderWithEvenSteps) {
  const Waves problem{{3}};
  std::vector<SolverBench::Result> results;
  // Fine enough for the next order not to bend the line, coarse enough for rounding not to: errors
  // from 4e-10 to 4e-13.
  for (const int steps : {80, 160, 320}) {
    const double length = 2.0 / steps;
    const OdeSolution solution = problem.solve(
        0, 2, {.atol = kInfinity, .rtol = 0, .first_step = length, .max_step = length});
    EXPECT_EQ(solution.evaluations[0], 6 * steps + 1) << "the last stage is the next first";
    results.push_back({steps, problem.error(solution, 2)});
  }
  EXPECT_NEAR(observed_order(results), 5, 0.1);
}

// A step is chosen so that its error of fourth order is the tolerance; the solution of fifth order
// is then better than that, and the whole error falls nearly as the tolerance.
TEST(DormandPrince, ErrorsFallWithTheTolerance) {
  const Waves problem{{3}};
  std::vector<SolverBench::Result> by_tolerance;
  for (const double tolerance : {1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9}) {
    const OdeSolution solution = problem.solve(0, 10, {.atol = tolerance, .rtol = tolerance});
    const double error = problem.error(solution, 10);
    EXPECT_LT(error, 20 * tolerance) << "over five periods steps add up";
    by_tolerance.push_back({static_cast<int64_t>(std::llround(1 / tolerance)), error});
  }
  EXPECT_NEAR(observed_order(by_tolerance), 1, 0.2);
}

TEST(DormandPrince, GoesBackwards) {
  const Waves problem{{3}};
  EXPECT_LT(problem.error(problem.solve(2, -1, {.atol = 1e-9, .rtol = 1e-9}), -1), 1e-7);
}

TEST(DormandPrince, AProblemDoesNotKnowOfOthers) {
  const OdeOptions options{.atol = 1e-7, .rtol = 1e-7};
  const OdeSolution all = Waves{{1, 30, 0.01}}.solve(0, 3, options);
  const double frequencies[] = {1, 30, 0.01};
  for (size_t n = 0; n < 3; ++n) {
    const OdeSolution one = Waves{{frequencies[n]}}.solve(0, 3, options);
    EXPECT_EQ(one.y[0], all.y[n]);
    EXPECT_EQ(one.evaluations[0], all.evaluations[n]);
  }
  EXPECT_GT(all.evaluations[1], 3 * all.evaluations[0]) << "fast ones need more steps";
}

TEST(DormandPrince, TheWorstPartDecides) {
  // The second part is a hundred times as fast: seen with the rest it would count a hundredth.
  const Derivative slope = [](const std::vector<double>& s, const std::vector<double>&,
                              std::vector<double>& dy) {
    for (size_t i = 0; i < 100; ++i) dy[i] = 1;
    dy[100] = std::cos(20 * s[0]);
  };
  const auto error = [&](const std::vector<int64_t>& parts) {
    const OdeSolution solution =
        integrate(slope, 0, 3, std::vector<double>(101), parts, {.atol = 1e-6, .rtol = 0});
    return std::abs(solution.y[100] - std::sin(60.0) / 20);
  };
  EXPECT_LT(error({100, 1}), error({101}));
  EXPECT_LT(error({100, 1}), 1e-5);
}

TEST(DormandPrince, SaysWhenItCannotArrive) {
  const Derivative nowhere = [](const std::vector<double>&, const std::vector<double>&,
                                std::vector<double>& dy) { dy[0] = NAN; };
  try {
    integrate(nowhere, 0, 1, {1}, {1}, {.max_evaluations = 50});
    FAIL() << "nothing was thrown";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("ode: 50 evaluations were not enough for atol "
                                                   "1e-05 and rtol 1e-05; it got to 0 on the way"));
  }
}

}  // namespace
}  // namespace ddpm::testing
