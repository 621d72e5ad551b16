// DDIM with the noise that measured errors ask for, on a normal, where that noise is exact.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "diffusion/exact_denoiser.h"
#include "diffusion/solver.h"
#include "framework/io/file.h"
#include "tests/diffusion/diffusion_case.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm::testing {
namespace {

using ::testing::HasSubstr;

// likelihood.json of the exact denoiser of a normal with this variance.
void write_errors(const std::string& path, const DiffusionTables& tables, double variance) {
  nlohmann::json rmse = nlohmann::json::array();
  for (int t = 0; t < tables.timesteps(); ++t) {
    const double noise = tables.noise[t] * tables.noise[t];
    const double signal = tables.signal[t] * tables.signal[t];
    rmse.push_back(std::sqrt(variance * noise / (signal * variance + noise)));
  }
  rmse[701] = nullptr;  // as after an evaluation of few images
  write_file_atomically(
      path,
      nlohmann::json{
          {"schema", "ddpm.likelihood/1"},
          {"split",
           {{"train", {{"rmse_scale", 1}, {"rmse", rmse}, {"unclipped", {{"rmse", rmse}}}}}}}}
          .dump());
}

class DdimErrors : public TempFolder {
 protected:
  void SetUp() override { write_errors(path_, process_.tables(), kVariance); }
  std::unique_ptr<Sampler> with(const std::string& settings) const {
    return sampler_of(fmt::format(
        R"({{"name": "ddim", "errors": "{}", "clip_denoised": false, {}}})", path_, settings));
  }
  // Of what is drawn in ten steps, by the true one.
  double variance(const Sampler& sampler) const {
    const GaussianMixture normal = {
        .weights = {1}, .means = {0.1, -0.2}, .variances = {kVariance, kVariance}};
    ReverseChain chain(process_, sampler, exact_denoiser(normal, process_), {kCount, 2}, 11);
    const std::vector<double> x = sample(chain, 0).to_host<double>();
    double sum = 0, squares = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double centred = x[i] - normal.means[i % 2];
      sum += centred, squares += centred * centred;
    }
    const double mean = sum / static_cast<double>(x.size());
    return (squares / static_cast<double>(x.size()) - mean * mean) / kVariance;
  }

  static constexpr double kVariance = 0.04;
  static constexpr int64_t kCount = 8000;
  const std::string path_ = path("likelihood.json");
  const GaussianDiffusion process_ = process_of("{}");
};

// The reverse of a normal process is normal for any length of step, and its variance that of the
// measured error: ten steps are as good as a thousand.
TEST_F(DdimErrors, DrawANormalInFewSteps) {
  // Four standard errors of 2 x 8000 squares, and 0.25 % that the last step, to the mean, costs.
  constexpr double kTolerance = 0.05;
  for (const char* eta : {"1", "0.5", "0"})
    EXPECT_NEAR(variance(*with(fmt::format(R"("steps": 10, "last_noise": 0, "eta": {})", eta))), 1,
                kTolerance)
        << "eta " << eta;
  EXPECT_LT(
      variance(*sampler_of(R"({"name": "ddim", "steps": 10, "eta": 1, "clip_denoised": false})")),
      1 - 2 * kTolerance);
}

TEST_F(DdimErrors, LeaveLittleNoiseWhereItWouldBeSeen) {
  const auto noise = [&](const char* last) {
    const auto sampler = with(fmt::format(R"("steps": 10, "last_noise": {})", last));
    return dynamic_cast<const Solver&>(*sampler).steps(process_)[8][0].next.noise;
  };
  EXPECT_NEAR(noise("1"), 2.0 / 255 * std::sqrt(std::acos(-1.0) / 2), 1e-12);
  EXPECT_NEAR(noise("3"), 3 * noise("1"), 1e-12);
  EXPECT_GT(noise("0"), 10 * noise("1"));
  EXPECT_EQ(noise("100"), noise("0"));
}

TEST_F(DdimErrors, RefuseWhatTheyCannotUse) {
  const auto expect_refusal = [&](const GaussianDiffusion& process, const std::string& settings,
                                  const char* message) {
    EXPECT_THAT(error_of([&] { with(settings)->visits(process); }), HasSubstr(message));
  };
  expect_refusal(process_, R"("steps": 1000)",
                 "likelihood.json: no image was evaluated at t = 701; 'ddpm eval RUN --metrics nll "
                 "--timesteps 0' evaluates all");
  expect_refusal(process_of(R"({"timesteps": 100})"), R"("steps": 10)",
                 "likelihood.json: of a process of 1000 timesteps, this one has 100");
  expect_refusal(process_, R"("steps": 10, "sigma_hat": true)", "cannot be used with sigma_hat");
  write_file_atomically(path_, R"({"schema": "ddpm.likelihood/1", "split": {"test": {}}})");
  expect_refusal(process_, R"("steps": 10)", "without errors or their scale");
  write_file_atomically(path_, "[]");
  expect_refusal(process_, R"("steps": 10)", "not the likelihood.json of a run");
  std::filesystem::remove(path_);
  expect_refusal(process_, R"("steps": 10)", "no such file");
}

}  // namespace
}  // namespace ddpm::testing
