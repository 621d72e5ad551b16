// The proof bench of the solvers: how their error falls with the evaluations of the network, when
// the network is the exact denoiser of a Gaussian mixture and the truth its probability flow.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "diffusion/exact_denoiser.h"
#include "diffusion/exact_flow.h"
#include "diffusion/exponential_step.h"
#include "diffusion/samplers/dpm_solver_plus_plus.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

double rms_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

// The slope of the least-squares line.
double regression(const std::vector<double>& x, const std::vector<double>& y) {
  double mean_x = 0, mean_y = 0, xy = 0, xx = 0;
  for (size_t i = 0; i < x.size(); ++i) mean_x += x[i], mean_y += y[i];
  mean_x /= static_cast<double>(x.size()), mean_y /= static_cast<double>(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean_x) * (y[i] - mean_y);
    xx += (x[i] - mean_x) * (x[i] - mean_x);
  }
  return xy / xx;
}

// A mixture with the images that its exact flow makes of the x_T of some seed.
class Bench {
 public:
  Bench(GaussianMixture mixture, const Shape& shape)
      : mixture_(std::move(mixture)), shape_(shape), process_(process_of("{}")) {
    ReverseChain any(process_, *sampler_of("\"ddim\""), model(), shape_, kSeed);
    any.start(0);
    const NoiseLevels levels(process_.tables());
    const NoiseLevel last = levels.last(), first = levels.first();
    const std::vector<double> x = exact_flow(mixture_, any.x().to_host<double>(), last, first);
    const auto dimension = static_cast<size_t>(mixture_.dimension());
    for (size_t i = 0; i < x.size(); i += dimension) {
      const Denoised x0 = denoise(mixture_, {&x[i], dimension}, first.signal, first.noise);
      truth_.insert(truth_.end(), x0.mean.begin(), x0.mean.end());
    }
  }

  using Make = std::function<std::unique_ptr<Sampler>(const std::string& json)>;
  // The order that the errors at these numbers of evaluations show.
  double order(const std::string& settings, const std::vector<int>& evaluations,
               const Make& make = sampler_of) const {
    std::vector<double> log_evaluations, log_error;
    for (const int steps : evaluations) {
      const auto sampler =
          make(fmt::format(R"({{"clip_denoised": false, "steps": {}, {}}})", steps, settings));
      ReverseChain chain(process_, *sampler, model(), shape_, kSeed);
      EXPECT_EQ(chain.steps(), steps) << settings;
      log_evaluations.push_back(std::log(static_cast<double>(steps)));
      log_error.push_back(std::log(rms_difference(sample(chain, 0).to_host<double>(), truth_)));
    }
    return -regression(log_evaluations, log_error);
  }

 private:
  static constexpr uint64_t kSeed = 5;
  Model model() const { return exact_denoiser(mixture_, process_); }

  GaussianMixture mixture_;
  Shape shape_;
  GaussianDiffusion process_;
  std::vector<double> truth_;
};

const Bench& points() {
  static const Bench bench({.weights = {0.5, 0.3, 0.2},
                            .means = {-0.5, -0.4, 0.5, -0.3, 0.0, 0.6},
                            .variances = {0.04, 0.09, 0.05, 0.04, 0.06, 0.05}},
                           {32, 2});
  return bench;
}
const Bench& images() {
  static const Bench bench(smooth_image_mixture(4, {4, 4, 1}, 0.2, 3), {4, 4, 4, 1});
  return bench;
}

struct Claim {
  const char *name, *settings;
  double order;
  std::vector<int> evaluations;
};
void PrintTo(const Claim& c, std::ostream* out) { *out << c.name << c.settings; }

std::string settings_of(const Claim& c) {
  const std::string rest = c.settings;
  return fmt::format(R"("name": "{}"{}{})", c.name, rest.empty() ? "" : ", ", rest);
}

class SolverOrders : public ::testing::TestWithParam<Claim> {};

// Over a factor of seven in the number of evaluations terms of the next order still bend the line:
// that is seen as slopes up to 0.15 off.
TEST_P(SolverOrders, AreThoseOfTheTheory) {
  const Claim& c = GetParam();
  EXPECT_NEAR(points().order(settings_of(c), c.evaluations), c.order, 0.15) << "points";
  EXPECT_NEAR(images().order(settings_of(c), c.evaluations), c.order, 0.15) << "images";
}

// Evaluations by which singlestep solvers divide without a rest, after the one that ends at x_0.
const std::vector<int> kAny = {121, 181, 271, 403, 607, 907};
const std::vector<int> kMany = {271, 403, 607, 907};
const std::vector<int> kWhole = {50, 100, 200, 250, 500};  // divide T
INSTANTIATE_TEST_SUITE_P(
    All, SolverOrders,
    ::testing::Values(Claim{"ddim", "", 1, kWhole},
                      Claim{"ddim", R"("stride": "trailing")", 1, kWhole},
                      Claim{"dpm_solver", R"("order": 1)", 1, kAny},
                      Claim{"dpm_solver", R"("order": 2)", 2, kAny},
                      Claim{"dpm_solver", R"("order": 3)", 3, kAny},
                      Claim{"dpm_solver", R"("order": 2, "estimate": "x0")", 2, kAny},
                      Claim{"dpm_solver", R"("order": 3, "estimate": "x0")", 3, kAny},
                      Claim{"dpm_solver++", R"("method": "2s")", 2, kAny},
                      Claim{"dpm_solver++", R"("method": "2m")", 2, kAny},
                      Claim{"dpm_solver++", R"("method": "3m")", 3, kAny},
                      Claim{"dpm_solver++", R"("method": "2m", "estimate": "epsilon")", 2, kAny},
                      Claim{"dpm_solver++", R"("method": "3m", "estimate": "epsilon")", 3, kAny},
                      Claim{"dpm_solver++", R"("method": "2m", "spacing": "edm")", 2, kAny},
                      Claim{"dpm_solver++", R"("method": "2m", "spacing": "quadratic")", 2, kAny},
                      Claim{"unipc", R"("order": 1)", 2, kAny},
                      Claim{"unipc", R"("order": 1, "variant": "bh1")", 2, kAny},
                      Claim{"unipc", R"("order": 2)", 3, kAny},
                      Claim{"unipc", R"("order": 2, "variant": "bh1")", 3, kAny},
                      Claim{"unipc", R"("order": 2, "estimate": "epsilon")", 3, kAny},
                      Claim{"unipc", R"("order": 3)", 4, kMany}, Claim{"heun", "", 2, kAny},
                      Claim{"heun", R"("spacing": "log_snr")", 2, kAny}));

// The 3M of the authors' code: half of the term of m'' is missing (dpm_solver_plus_plus.h).
class AuthorsThirdOrder : public DpmSolverPlusPlusSampler {
 public:
  using DpmSolverPlusPlusSampler::DpmSolverPlusPlusSampler;

 protected:
  std::vector<Move> step(const NoiseLevels& levels, const std::vector<NoiseLevel>& grid, size_t i,
                         size_t past) const override {
    std::vector<Move> moves = DpmSolverPlusPlusSampler::step(levels, grid, i, past);
    if (past < 2 || grid[i + 1].noise == 0) return moves;
    const ExponentialStep e(Estimate::kX0, grid[i], grid[i + 1]);
    const double r = (grid[i].log_snr - grid[i - 1].log_snr) / e.h;
    const double q = (grid[i - 1].log_snr - grid[i - 2].log_snr) / e.h;
    const double half = e.scale * e.phi_3() / (r + q);
    moves[0].next.estimate[0] += half / r;
    moves[0].next.estimate[1] -= half / r + half / q;
    moves[0].next.estimate[2] += half / q;
    return moves;
  }
};

TEST(AuthorsCode, ItsThirdOrderIsTheSecond) {
  const auto authors = [](const std::string& json) {
    const Config config(ConfigSource::parse_text(json, "test"));
    return std::make_unique<AuthorsThirdOrder>(config);
  };
  EXPECT_NEAR(points().order(R"("method": "3m")", kMany, authors), 2, 0.15);
  EXPECT_NEAR(images().order(R"("method": "3m")", kMany, authors), 2, 0.15);
}

}  // namespace
}  // namespace ddpm::testing
