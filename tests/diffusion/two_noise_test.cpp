// The loss with two noises: that of Su Jianlin to the letter, and in expectation the usual one.
#include "diffusion/losses/two_noise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "diffusion/exact_denoiser.h"
#include "diffusion/likelihood.h"
#include "framework/autograd/tape.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/reduce.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

const std::vector<std::string> kParameterizations = {"epsilon", "x0", "previous_mean", "step_noise",
                                                     "velocity"};
const std::vector<int32_t> kTimesteps = {0, 1, 10, 200, 500, 999};

std::string predicting(const std::string& parameterization, const std::string& loss) {
  return fmt::format(R"({{"parameterization": "{}", "loss": "{}"}})", parameterization, loss);
}

// His numbers of a step, in his notation; at t = 0 there is no step before.
struct Step {
  Step(const DiffusionTables& tables, int32_t t)
      : a(std::sqrt(1 - tables.beta[t])),
        b(std::sqrt(tables.beta[t])),
        a_bar(tables.signal[t]),
        b_bar(tables.noise[t]),
        b_bar_before(t > 0 ? tables.noise[t - 1] : 0) {}
  double a, b, a_bar, b_bar, b_bar_before;
};

// From two independent noises as he writes them, in plain loops: x_t, and the squared error of the
// prediction of the step's noise.
TEST(TwoNoise, IsTheLossOfItsDerivation) {
  const GaussianDiffusion process = process_of(predicting("step_noise", "two_noise"));
  const Shape shape{6, 2, 3};
  const Tensor x0 = normal(shape, "x0"), before = normal(shape, "before"),
               step_noise = normal(shape, "step"), output = normal(shape, "output");
  Tensor noise = Tensor::like(x0), second_noise = Tensor::like(x0), x_t = Tensor::like(x0);
  std::vector<double> expected;
  for (int64_t n = 0; n < 6; ++n) {
    const Step s(process.tables(), kTimesteps[static_cast<size_t>(n)]);
    double sum = 0;
    for (int64_t i = 6 * n; i < 6 * n + 6; ++i) {
      x_t.data<double>()[i] =
          s.a_bar * at(x0, i) + s.a * s.b_bar_before * at(before, i) + s.b * at(step_noise, i);
      noise.data<double>()[i] =
          (s.a * s.b_bar_before * at(before, i) + s.b * at(step_noise, i)) / s.b_bar;
      second_noise.data<double>()[i] =
          (s.b * at(before, i) - s.a * s.b_bar_before * at(step_noise, i)) / s.b_bar;
      sum += std::pow(at(step_noise, i) - at(output, i), 2);
    }
    expected.push_back(sum / 6);
  }
  const Model model = [&](const Tensor& x, const Tensor&) {
    for (int64_t i = 0; i < x.numel(); ++i) EXPECT_NEAR(at(x, i), at(x_t, i), 1e-12);
    return output;
  };
  const Tensor loss = process.training_losses(model, x0, steps(kTimesteps), noise, second_noise);
  for (int64_t n = 0; n < 6; ++n) EXPECT_NEAR(at(loss, n), expected[static_cast<size_t>(n)], 1e-10);
}

// "simple" of step_noise is L_simple with his weight, of the output rescaled to an epsilon.
TEST(TwoNoise, WeightOfTheStepsNoise) {
  const GaussianDiffusion of_step = process_of(predicting("step_noise", "simple")),
                          of_epsilon = process_of(predicting("epsilon", "simple"));
  const Tensor x0 = normal({6, 3}, "x0"), noise = normal({6, 3}, "noise"),
               output = normal({6, 3}, "output");
  Tensor epsilon = Tensor::like(output);
  for (int64_t i = 0; i < 18; ++i) {
    const Step s(of_step.tables(), kTimesteps[static_cast<size_t>(i / 3)]);
    epsilon.data<double>()[i] = s.b_bar / s.b * at(output, i);
  }
  const auto saying = [](const Tensor& what) {
    return [what](const Tensor&, const Tensor&) { return what; };
  };
  const Tensor t = steps(kTimesteps);
  const Tensor weighted = of_step.training_losses(saying(output), x0, t, noise);
  const Tensor simple = of_epsilon.training_losses(saying(epsilon), x0, t, noise);
  for (int64_t n = 0; n < 6; ++n) {
    const Step s(of_step.tables(), kTimesteps[static_cast<size_t>(n)]);
    EXPECT_NEAR(at(weighted, n), std::pow(s.b / s.b_bar, 2) * at(simple, n), 1e-12);
  }
  // What samplers make of it is the same x_0.
  const Tensor x_t = of_step.q_sample(x0, t, noise);
  const Tensor a = of_step.x0(output, x_t, t), b = of_epsilon.x0(epsilon, x_t, t);
  for (int64_t i = 0; i < 18; ++i) EXPECT_NEAR(at(a, i), at(b, i), 1e-9 * (1 + std::abs(at(b, i))));
}

// The second noise's deviation in the target, from his a, b and bbar where they say it.
TEST(TwoNoise, SpreadOfTheTarget) {
  const Tensor zero = constant({6, 1}, 0), one = constant({6, 1}, 1), t = steps(kTimesteps);
  const auto spread = [&](const std::string& parameterization) {
    return process_of(predicting(parameterization, "two_noise")).drawn_target(zero, zero, one, t);
  };
  const DiffusionTables tables(schedules().make("linear")->betas(1000));
  for (int64_t n = 0; n < 6; ++n) {
    const int32_t step = kTimesteps[static_cast<size_t>(n)];
    const Step s(tables, step);
    EXPECT_NEAR(at(spread("step_noise"), n), -s.a * s.b_bar_before / s.b_bar, 1e-12);
    EXPECT_NEAR(at(spread("epsilon"), n), -s.a * s.b_bar_before / s.b, 1e-10);
    EXPECT_NEAR(at(spread("previous_mean"), n), std::sqrt(tables.posterior_variance[step]), 1e-12);
  }
}

// Over many draws of both noises, on data from a mixture: the loss with two noises is the usual one
// plus the square of the spread, and the gradients agree in the mean but not in the variance. The
// network is the exact denoiser, shrunk and shifted by a gain and a bias; each sample has its own
// pair of them, whose gradients are those of single draws. Standard errors are of the paired
// difference, which what the losses share does not blur; 4.5 of them for 75 comparisons.
TEST(TwoNoise, HasTheExpectationsOfOneNoiseAndMoreVariance) {
  constexpr int64_t kCount = 40000;
  const GaussianMixture mixture = three_modes();
  const Tensor x0 = points(mixture, 0, kCount), noise = normal({kCount, 2}, "noise"),
               second_noise = normal({kCount, 2}, "second noise");
  for (const std::string& name : kParameterizations)
    for (const int32_t step : {1, 30, 400}) {
      SCOPED_TRACE(fmt::format("{} at {}", name, step));
      const Tensor t = steps(std::vector<int32_t>(kCount, step));
      const GaussianDiffusion process = process_of(predicting(name, "two_noise"));
      const Model exact = exact_denoiser(mixture, process);
      const Tensor spread = process.drawn_target(constant({1, 2}, 0), constant({1, 2}, 0),
                                                 constant({1, 2}, 1), steps({step}));
      struct Draws {
        std::vector<double> losses, bias_gradients, gain_gradients;
      };
      const auto run = [&](const char* loss) {
        Tensor bias = constant({kCount, 2}, 0.05), gain = constant({kCount, 2}, 0.9);
        bias.set_requires_grad(true);
        gain.set_requires_grad(true);
        const Model model = [&](const Tensor& x, const Tensor& at_t) {
          return add(bias, multiply(gain, exact(x, at_t)));
        };
        Tape tape;
        const Tensor of_samples =
            process.training_losses(*losses().make(loss), model, x0, t, noise, second_noise);
        Draws draws{of_samples.to_host<double>(), {}, {}};
        tape.backward(sum(of_samples));
        draws.bias_gradients = bias.grad().to_host<double>();
        draws.gain_gradients = gain.grad().to_host<double>();
        return draws;
      };
      const Draws one = run("simple"), two = run("two_noise");
      const double constant_term = std::pow(at(spread, 0), 2);
      const auto compare = [&](const std::vector<double>& a, const std::vector<double>& b,
                               double difference, const char* what) {
        Estimate paired, first, second;
        for (size_t i = 0; i < a.size(); ++i) {
          paired.add(b[i] - a[i]);
          first.add(a[i]);
          second.add(b[i]);
        }
        EXPECT_NEAR(paired.mean(), difference, 4.5 * paired.standard_error()) << what;
        EXPECT_GT(second.standard_error(), first.standard_error()) << what;
      };
      compare(one.losses, two.losses, constant_term, "loss");
      compare(one.bias_gradients, two.bias_gradients, 0, "gradient of a bias");
      compare(one.gain_gradients, two.gain_gradients, 0, "gradient of a gain");
      // The bias's gradient is the error itself (2 from the square, 1/2 from the mean over two
      // coordinates), so that its variance grows by that of spread * second_noise.
      Estimate added;
      for (size_t i = 0; i < one.bias_gradients.size(); ++i)
        added.add(std::pow(two.bias_gradients[i] - one.bias_gradients[i], 2));
      EXPECT_NEAR(added.mean(), constant_term, 4.5 * added.standard_error());
    }
}

TEST(TwoNoise, GradientMatchesFiniteDifferences) {
  const Shape shape{6, 2};
  const Tensor x0 = normal(shape, "x0"), noise = normal(shape, "noise"),
               second_noise = normal(shape, "second noise");
  for (const std::string& name : kParameterizations) {
    const GaussianDiffusion process = process_of(predicting(name, "two_noise"));
    Tensor output = normal(shape, "output");
    const auto total = [&](const Tensor& said) {
      const Model model = [&](const Tensor&, const Tensor&) { return said; };
      return sum(process.training_losses(model, x0, steps(kTimesteps), noise, second_noise));
    };
    output.set_requires_grad(true);
    {
      Tape tape;
      tape.backward(total(output));
    }
    for (int64_t i = 0; i < output.numel(); ++i) {
      const auto moved = [&](double by) {
        Tensor said = Tensor::from_host(output.to_host<double>(), shape, Device::kCpu);
        said.data<double>()[i] += by;
        return at(total(said), 0);
      };
      const double difference = (moved(1e-5) - moved(-1e-5)) / 2e-5, total_loss = moved(0);
      // The loss's own rounding over the step, and 1e-6 as for ops.
      EXPECT_NEAR(at(output.grad(), i), difference, 1e-6 + 1e-10 * total_loss) << name;
    }
  }
}

}  // namespace
}  // namespace ddpm::testing
