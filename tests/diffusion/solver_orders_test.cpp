// The proof bench of the solvers: how their error falls with the evaluations of the network, when
// the network is the exact denoiser of a Gaussian mixture and the truth its probability flow.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "diffusion/exponential_step.h"
#include "diffusion/samplers/dpm_solver_plus_plus.h"
#include "diffusion/solver_bench.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

const SolverBench& points() {
  static const SolverBench bench = SolverBench::points();
  return bench;
}
const SolverBench& images() {
  static const SolverBench bench = SolverBench::images();
  return bench;
}

using Make = std::function<std::unique_ptr<Sampler>(const std::string& json)>;
// The order that the errors at these numbers of evaluations show.
double order(const SolverBench& bench, const std::string& settings,
             const std::vector<int>& evaluations, const Make& make = sampler_of) {
  std::vector<SolverBench::Result> results;
  for (const int steps : evaluations) {
    results.push_back(bench.measure(
        *make(fmt::format(R"({{"clip_denoised": false, "steps": {}, {}}})", steps, settings))));
    EXPECT_EQ(results.back().evaluations, steps) << settings;
  }
  return observed_order(results);
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
  EXPECT_NEAR(order(points(), settings_of(c), c.evaluations), c.order, 0.15) << "points";
  EXPECT_NEAR(order(images(), settings_of(c), c.evaluations), c.order, 0.15) << "images";
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
  EXPECT_NEAR(order(points(), R"("method": "3m")", kMany, authors), 2, 0.15);
  EXPECT_NEAR(order(images(), R"("method": "3m")", kMany, authors), 2, 0.15);
}

}  // namespace
}  // namespace ddpm::testing
