// Edits with the exact denoiser in the network's place: what inpainting draws must be the law of
// the unknown elements given the known ones, which is known in closed form.
#include "diffusion/editing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "diffusion/exact_denoiser.h"
#include "diffusion/inpainting.h"
#include "diffusion/samplers/ddim.h"
#include "framework/cpu/parallel.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

const char* kShortProcess = R"({"timesteps": 100, "variance": "learned", "loss": "variational",
    "schedule": {"name": "linear", "rescale_to_steps": true}})";

// Two coordinates that go together: modes along the diagonal. Known is the first, 0.1: between the
// modes, so that which of them the second belongs to is open, and each mode has a share of it.
GaussianMixture diagonal() {
  return {.weights = {0.5, 0.5},
          .means = {-0.25, -0.5, 0.35, 0.5},
          .variances = {0.06, 0.01, 0.06, 0.01}};
}
constexpr double kKnown = 0.1;

// The law of the second coordinate given the first: a mixture with the responsibilities that the
// first gives the components.
struct Conditional {
  double mean = 0, variance = 0, upper = 0;  // upper: the share of the mode above zero
};
Conditional conditional(const GaussianMixture& mixture, double known) {
  std::vector<double> share;
  double total = 0;
  for (size_t k = 0; k < mixture.weights.size(); ++k) {
    const double d = known - mixture.means[2 * k], v = mixture.variances[2 * k];
    share.push_back(mixture.weights[k] * std::exp(-d * d / (2 * v)) / std::sqrt(v));
    total += share.back();
  }
  Conditional law;
  for (size_t k = 0; k < share.size(); ++k) {
    const double w = share[k] / total, m = mixture.means[2 * k + 1];
    law.mean += w * m;
    law.variance += w * (mixture.variances[2 * k + 1] + m * m);
    if (m > 0) law.upper += w;
  }
  law.variance -= law.mean * law.mean;
  return law;
}

struct Drawn {
  std::vector<double> known, unknown;
  double mean = 0;
};
Drawn inpaint(const Resampling& resampling, int64_t count,
              const char* sampler_json = "\"ancestral\"") {
  const GaussianDiffusion process = process_of(kShortProcess);
  const auto sampler = sampler_of(sampler_json);
  Tensor known = constant({count, 2}, 77);
  for (int64_t n = 0; n < count; ++n) known.data<double>()[2 * n] = kKnown;
  const InpaintingSampler inpainting(*sampler, known, {1, 0}, resampling);
  ReverseChain chain(process, inpainting, exact_denoiser(diagonal(), process), {count, 2}, 3);
  const std::vector<double> x = sample(chain, 0).to_host<double>();
  Drawn drawn;
  for (int64_t n = 0; n < count; ++n) {
    drawn.known.push_back(x[2 * n]);
    drawn.unknown.push_back(x[2 * n + 1]);
    drawn.mean += x[2 * n + 1] / static_cast<double>(count);
  }
  return drawn;
}

TEST(ScratchBias, Print) {
  const Conditional law = conditional(diagonal(), kKnown);
  fmt::print("law mean {} sd {} upper {}\n", law.mean, std::sqrt(law.variance), law.upper);
  for (auto [j, r] : {std::pair<int64_t, int64_t>{10, 1},
                      {1, 10},
                      {10, 10},
                      {10, 40},
                      {5, 20},
                      {20, 20},
                      {50, 20}}) {
    const Drawn d = inpaint({j, r}, 4000);
    double up = 0, sq = 0;
    for (double x : d.unknown) {
      up += x > 0;
      sq += (x - d.mean) * (x - d.mean);
    }
    fmt::print("j {} r {}: mean {} var {} (law {}) upper {}\n", j, r, d.mean, sq / 4000,
               law.variance, up / 4000);
  }
}

}  // namespace
}  // namespace ddpm::testing
