// Timestep samplers: whatever the draws, the weighted mean over batches is the mean over all
// timesteps; each has less variance than uniform draws where it promises to.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "framework/ops/timestep_draw.h"
#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

constexpr int kTimesteps = 20;
constexpr int64_t kBatch = 8;

RandomStream stream(int64_t step) {
  return {11, random_site("timesteps"), random_counter(step, 0, Device::kCpu)};
}

std::unique_ptr<TimestepSampler> sampler_named(const std::string& json,
                                               int timesteps = kTimesteps) {
  const Config config(ConfigSource::parse_text("{\"timestep_sampler\": " + json + "}", "test"));
  auto sampler = read_timestep_sampler(config);
  config.finish();
  sampler->prepare(timesteps, Device::kCpu);
  return sampler;
}

// Some loss of every timestep, with the bound's bias towards the first ones.
double loss_at(int32_t t) { return 1 / (1.0 + t) + 0.02 * std::sin(t); }

Tensor losses_at(const std::vector<int32_t>& t) {
  std::vector<float> losses;
  for (const int32_t step : t) losses.push_back(static_cast<float>(loss_at(step)));
  return Tensor::from_host(losses, {std::ssize(losses)}, Device::kCpu);
}

// Shows every timestep `count` times.
void teach(TimestepSampler& sampler, int count, int timesteps = kTimesteps) {
  std::vector<int32_t> all(timesteps);
  std::iota(all.begin(), all.end(), 0);
  for (int i = 0; i < count; ++i) sampler.observe(steps(all), losses_at(all));
}

// Of the weighted mean loss of a batch, over many batches.
struct BatchMoments {
  double mean = 0, variance = 0, standard_error = 0;
};

BatchMoments moments(TimestepSampler& sampler) {
  constexpr int kBatches = 20000;
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < kBatches; ++i) {
    const TimestepDraw drawn = sampler.draw(stream(i), kBatch);
    const std::vector<int32_t> t = drawn.t.to_host<int32_t>();
    const std::vector<float> weights =
        drawn.weights ? drawn.weights.to_host<float>() : std::vector<float>(t.size(), 1);
    double batch = 0;
    for (size_t n = 0; n < t.size(); ++n)
      batch += static_cast<double>(weights[n]) * loss_at(t[n]) / kBatch;
    sum += batch;
    squares += batch * batch;
  }
  const double mean = sum / kBatches, variance = squares / kBatches - mean * mean;
  return {mean, variance, std::sqrt(variance / kBatches)};
}

TEST(TimestepSamplers, AllEstimateTheMeanOverAllTimesteps) {
  double expected = 0;
  for (int t = 0; t < kTimesteps; ++t) expected += loss_at(t) / kTimesteps;
  double uniform_variance = 0;
  for (const std::string& name : timestep_samplers().names()) {
    const auto sampler = sampler_named('"' + name + '"');
    teach(*sampler, 10);
    const BatchMoments m = moments(*sampler);
    // Four standard errors, and the rounding of weights to f32.
    EXPECT_NEAR(m.mean, expected, 4 * m.standard_error + 1e-7) << name;
    if (name == "uniform") {
      uniform_variance = m.variance;
      continue;
    }
    // This loss falls with t: both ends in one batch cancel, strata nearly so, and draws in
    // proportion to the loss leave the share of uniform ones.
    EXPECT_LT(m.variance, 0.75 * uniform_variance) << name;
  }
}

TEST(TimestepSamplers, SecondMomentDrawsInProportionToTheRoot) {
  const auto sampler = sampler_named(R"({"name": "loss_second_moment", "uniform_share": 0.2})");
  teach(*sampler, 10);
  double total = 0;
  for (int t = 0; t < kTimesteps; ++t) total += std::abs(loss_at(t));
  const TimestepDraw drawn = sampler->draw(stream(3), 40000);
  std::vector<double> counts(kTimesteps);
  const std::vector<int32_t> t = drawn.t.to_host<int32_t>();
  const std::vector<float> weights = drawn.weights.to_host<float>();
  double chi_square = 0;
  const auto p = [&](int32_t step) {
    return 0.8 * std::abs(loss_at(step)) / total + 0.2 / kTimesteps;
  };
  for (size_t n = 0; n < t.size(); ++n) {
    ++counts[static_cast<size_t>(t[n])];
    ASSERT_NEAR(weights[n], 1 / (kTimesteps * p(t[n])), 1e-5);  // losses and weights are f32
  }
  for (int step = 0; step < kTimesteps; ++step)
    chi_square += std::pow(counts[step] - 40000 * p(step), 2) / (40000 * p(step));
  EXPECT_LT(chi_square, 43.8);  // exceeded once in a thousand seeds at 19 degrees of freedom
}

TEST(TimestepSamplers, SecondMomentWarmsUpUniformlyUntilEveryTimestepHasAHistory) {
  const auto sampler = sampler_named("\"loss_second_moment\""),
             uniform = sampler_named("\"uniform\"");
  teach(*sampler, 9);
  const std::vector<float> ones(kBatch, 1);
  EXPECT_EQ(sampler->draw(stream(0), kBatch).weights.to_host<float>(), ones);
  std::vector<int32_t> all_but_one(kTimesteps - 1);
  std::iota(all_but_one.begin(), all_but_one.end(), 1);
  sampler->observe(steps(all_but_one), losses_at(all_but_one));
  EXPECT_EQ(sampler->draw(stream(0), kBatch).weights.to_host<float>(), ones);
  sampler->observe(steps({0}), losses_at({0}));
  EXPECT_NE(sampler->draw(stream(0), kBatch).weights.to_host<float>(), ones);
}

TEST(TimestepSamplers, SecondMomentForgetsTheOldestLossAndWhatIsNotFinite) {
  const auto sampler = sampler_named(R"({"name": "loss_second_moment", "history": 3})", 1);
  const Tensor t = steps({0});
  for (const float loss : {1.f, 2.f, NAN, 3.f, 4.f, 5.f, INFINITY, 6.f, 7.f, 8.f})
    sampler->observe(t, Tensor::from_host<float>({loss}, {1}, Device::kCpu));
  std::vector<float> kept = sampler->memory().losses;
  std::sort(kept.begin(), kept.end());
  EXPECT_EQ(kept, (std::vector<float>{6, 7, 8}));
}

TEST(TimestepSamplers, WhatWasLearnedIsRestored) {
  const auto taught = sampler_named("\"loss_second_moment\"");
  teach(*taught, 13);
  const auto restored = sampler_named("\"loss_second_moment\"");
  restored->restore(taught->memory());
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(restored->draw(stream(5), 64).t.to_host<int32_t>(),
              taught->draw(stream(5), 64).t.to_host<int32_t>());
    teach(*taught, 4);
    teach(*restored, 4);
  }
  EXPECT_THROW(sampler_named("\"loss_second_moment\"", 3)->restore(taught->memory()), UserError);
}

TEST(TimestepSamplers, StrataAndPairsCoverTheTimesteps) {
  const std::vector<int32_t> strata =
      sampler_named("\"stratified\"", 1000)->draw(stream(1), 10).t.to_host<int32_t>();
  for (int n = 0; n < 10; ++n) EXPECT_EQ(strata[n] / 100, n);
  const std::vector<int32_t> pairs =
      sampler_named("\"antithetic\"", 1000)->draw(stream(1), 7).t.to_host<int32_t>();
  for (int n = 0; n < 3; ++n) EXPECT_EQ(pairs[n] + pairs[n + 4], 999);
  // A share's end must not round into a timestep that does not exist.
  EXPECT_EQ(math::stratified(std::nextafter(1.0, 0.0), 2, 3, 7), 6);
}

}  // namespace
}  // namespace ddpm::testing
