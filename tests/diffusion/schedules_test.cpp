// Golden values of every schedule: the numbers of the papers' own settings.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/diffusion/diffusion_case.h"

namespace ddpm::testing {
namespace {

DiffusionTables tables_of(const std::string& schedule, int timesteps = 1000) {
  const Config config(ConfigSource::parse_text("{\"schedule\": " + schedule + "}", "test"));
  const auto made = schedules().make(config, "schedule", required);
  config.finish();
  return DiffusionTables(made->betas(timesteps));
}

// Golden values carry five to ten digits.
void expect_relative(double actual, double expected, double tolerance) {
  EXPECT_NEAR(actual / expected, 1, tolerance) << actual << " instead of " << expected;
}

TEST(Schedules, Linear) {
  const DiffusionTables t = tables_of("\"linear\"");
  EXPECT_EQ(t.beta.front(), 1e-4);
  EXPECT_DOUBLE_EQ(t.beta.back(), 0.02);
  EXPECT_DOUBLE_EQ(t.alpha_bar[0], 0.9999);
  expect_relative(t.alpha_bar[1], 0.99978009207, 1e-10);
  expect_relative(t.alpha_bar[499], 0.07858724288, 1e-9);
  expect_relative(t.alpha_bar[999], 4.0358297654e-05, 1e-10);
  expect_relative(t.snr[999], 4.03599e-05, 1e-5);
}

TEST(Schedules, LinearKeepsItsBetasUnlessAskedToRescale) {
  EXPECT_DOUBLE_EQ(tables_of("\"linear\"", 4000).beta.back(), 0.02);
  const auto rescaled = tables_of(R"({"name": "linear", "rescale_to_steps": true})", 4000);
  EXPECT_DOUBLE_EQ(rescaled.beta.back(), 0.005);
  expect_relative(rescaled.alpha_bar.back(), 4.24665e-05, 1e-5);
}

TEST(Schedules, Cosine) {
  const DiffusionTables t = tables_of("\"cosine\"");
  expect_relative(t.beta[0], 4.12842e-05, 1e-5);
  expect_relative(t.alpha_bar[499], 0.49384359, 1e-7);
  expect_relative(t.alpha_bar[999], 2.4288e-09, 1e-4);
  expect_relative(t.beta[997], 0.55555, 1e-4);
  expect_relative(t.beta[998], 0.75, 1e-4);
  EXPECT_EQ(t.beta[999], 0.999);
  EXPECT_EQ(std::count(t.beta.begin(), t.beta.end(), 0.999), 1);

  const DiffusionTables long_chain = tables_of("\"cosine\"", 4000);
  expect_relative(long_chain.beta[0], 9.86582e-06, 1e-5);
  expect_relative(long_chain.alpha_bar.back(), 1.518e-10, 1e-3);
}

TEST(Schedules, TheOthersOfThePapersSweep) {
  expect_relative(tables_of("\"quadratic\"").alpha_bar.back(), 7.33412e-04, 1e-5);
  expect_relative(tables_of("\"constant\"").alpha_bar.back(), 1.68297e-09, 1e-5);
  expect_relative(tables_of("\"warmup10\"").alpha_bar.back(), 4.61369e-09, 1e-5);
  expect_relative(tables_of("\"warmup50\"").alpha_bar.back(), 2.60614e-07, 1e-5);
  EXPECT_EQ(tables_of("\"warmup10\"").beta[100], 0.02);
  EXPECT_LT(tables_of("\"warmup10\"").beta[98], 0.02);
}

TEST(Schedules, JsdEndsInPureNoise) {
  const DiffusionTables t = tables_of("\"jsd\"");
  EXPECT_NEAR(t.alpha_bar[997], 0.002, 1e-14);
  EXPECT_NEAR(t.alpha_bar[998], 0.001, 1e-14);
  EXPECT_EQ(t.alpha_bar[999], 0);
  EXPECT_EQ(t.beta[999], 1);
}

TEST(Schedules, WhatCannotBeAProcessIsRefused) {
  EXPECT_THROW(DiffusionTables({}), UserError);
  EXPECT_THROW(DiffusionTables({0.1, 0.0}), UserError);
  EXPECT_THROW(DiffusionTables({0.1, 1e-17}), UserError) << "1 - beta rounds to 1";
  EXPECT_THROW(DiffusionTables({0.1, 1.1}), UserError);
  EXPECT_THROW(DiffusionTables({0.1, 1.0, 0.1}), UserError) << "nothing left to diffuse";
  EXPECT_THROW(tables_of(R"({"name": "linear", "rescale_to_steps": true})", 10), UserError);
}

// The decoder's variance cannot be that of a second step.
TEST(Schedules, OneStepIsAProcess) {
  const DiffusionTables t({0.3});
  EXPECT_DOUBLE_EQ(t.posterior_log_variance[0], std::log(0.3));
  EXPECT_DOUBLE_EQ(t.fixed_large_log_variance[0], std::log(0.3));
  EXPECT_DOUBLE_EQ(t.posterior_x0[0], 1);
  EXPECT_DOUBLE_EQ(t.posterior_xt[0], 0);
}

}  // namespace
}  // namespace ddpm::testing
