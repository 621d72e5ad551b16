// `ddpm eval --metrics nll` end to end: killed and gone on with, other thread counts and batches,
// wrong input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "framework/io/hdf5_file.h"
#include "tests/program/trained_run.h"

namespace ddpm::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

std::vector<std::string> eval(const std::string& out) {
  return {"eval", out, "--metrics", "nll", "--progress", "none"};
}

class LikelihoodProgram : public TrainedRun {};

TEST_F(LikelihoodProgram, ABoundThatWasKilledEndsWithTheSameBytes) {
  const std::string whole = copy("whole"), killed = copy("killed");
  ASSERT_EQ(run(eval(whole)).exit_code, 0);
  const int kills = kill_until_done(eval(killed), 11, 5'000, 60'000, 500);
  EXPECT_GE(kills, 3);
  EXPECT_EQ(read_file(killed + "/likelihood.json"), read_file(whole + "/likelihood.json"));
}

TEST_F(LikelihoodProgram, CtrlCKeepsTheBatchesThatAreDone) {
  const std::string out = copy("stopped");
  std::vector<std::string> many = eval(out);
  many.insert(many.end(), {"evaluation.test_images=297", "evaluation.train_images=0"});
  Program program(many);
  while (!fs::exists(out + "/likelihood")) usleep(1'000);
  program.signal(SIGINT);
  const Finished stopped = program.wait();
  EXPECT_EQ(stopped.exit_code, 130) << stopped.err;
  EXPECT_THAT(stopped.err,
              HasSubstr("of 297 test images is saved; the same command goes on there"));
  EXPECT_FALSE(fs::exists(out + "/likelihood.json"));
  ASSERT_EQ(std::distance(fs::directory_iterator(out + "/likelihood"), {}), 1);
  const Hdf5Reader saved(fs::directory_iterator(out + "/likelihood")->path());
  EXPECT_GE(saved.integer("/", "images"), 2);
  EXPECT_LT(saved.integer("/", "images"), 297);
}

TEST_F(LikelihoodProgram, EveryPartOfTheBoundIsReported) {
  const std::string out = copy("parts");
  const Finished result = run(eval(out));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("bias: none: every term of every image is evaluated."));
  const auto test = nlohmann::json::parse(read_file(out + "/likelihood.json"))["split"]["test"];
  EXPECT_EQ(test["images"], 12);
  for (const auto& side : {test, test["unclipped"]}) {
    ASSERT_EQ(side["bounds"].size(), 2u);
    EXPECT_EQ(side["rmse"].size(), 40u);
    for (const auto& bound : side["bounds"]) {
      double rate = test["prior"];
      for (int t = 1; t < 40; ++t) rate += bound["terms"][t].get<double>();
      // Means are running ones: they agree to rounding, not to the bit.
      EXPECT_NEAR(bound["rate"], rate, 1e-10);
      EXPECT_NEAR(bound["total"].get<double>(), rate + bound["terms"][0].get<double>(), 1e-10);
      EXPECT_GT(bound["total_se"], 0);
      EXPECT_GT(bound["terms_se"][5], 0);
    }
  }
  const auto metrics = nlohmann::json::parse(read_file(out + "/result.json"))["metrics"];
  EXPECT_EQ(metrics["nll_test"], test["bounds"][1]["total"]) << "fixed_large is the model's";
  EXPECT_EQ(metrics["nll_test_fixed_small_unclipped"], test["unclipped"]["bounds"][0]["total"]);
  EXPECT_FALSE(metrics.contains("sample_min")) << "only nll was asked for";

  const Finished few =
      run({"eval", out, "--metrics", "nll", "--timesteps", "5", "--progress", "none"});
  ASSERT_EQ(few.exit_code, 0) << few.err;
  EXPECT_THAT(few.out, HasSubstr("bias: none for bounds, rates and terms: t = 0 is evaluated"));
  EXPECT_THAT(few.out, HasSubstr("it includes the choice of timesteps"));
  const auto subset = nlohmann::json::parse(read_file(out + "/likelihood.json"))["split"]["test"];
  EXPECT_EQ(subset["estimator"]["strata"], nlohmann::json({0, 1, 3, 6, 16, 40}));
}

TEST_F(LikelihoodProgram, TheBoundDoesNotDependOnThreadsAndBatches) {
  const std::string one = copy("one"), three = copy("three");
  ASSERT_EQ(ddpm({"eval", one, "--metrics", "nll", "--threads", "1"}).exit_code, 0);
  ASSERT_EQ(ddpm({"eval", three, "--metrics", "nll", "--threads", "3", "evaluation.batch_size=5"})
                .exit_code,
            0);
  EXPECT_EQ(read_file(one + "/likelihood.json"), read_file(three + "/likelihood.json"));
}

std::vector<std::string> eval_flow(const std::string& out) {
  return {"eval",
          out,
          "--metrics",
          "nll_ode",
          "evaluation.ode_rtol=1e-3",
          "evaluation.ode_atol=1e-3",
          "--progress",
          "none"};
}

nlohmann::json result_of(const std::string& out) {
  nlohmann::json result = nlohmann::json::parse(read_file(out + "/result.json"));
  return {result["metrics"], result["metric_info"]};
}

TEST_F(LikelihoodProgram, TheFlowsLikelihoodSaysWhatItIs) {
  const std::string out = copy("flow");
  ASSERT_EQ(run(eval(out)).exit_code, 0);
  const Finished flow = run(eval_flow(out));
  ASSERT_EQ(flow.exit_code, 0) << flow.err;
  EXPECT_THAT(flow.out, HasSubstr("N = 12, noise dequantisation, divergence of 2 probes (± "));
  const auto [metrics, infos] = std::pair(result_of(out)[0], result_of(out)[1]);
  EXPECT_TRUE(metrics.contains("nll_test")) << "an earlier evaluation's";
  for (const char* name : {"nll_ode_test", "nll_ode_train"}) {
    EXPECT_GT(metrics[name], 0);
    EXPECT_GT(metrics[std::string(name) + "_se"], infos[name]["hutchinson_se"]);
    EXPECT_GT(infos[name]["hutchinson_se"], 0);
    EXPECT_GE(infos[name]["evaluations_per_image"], 8);
  }
  // The two decode alike and differ in how they code x_t at t = 0: a few tenths of a bit.
  EXPECT_NEAR(metrics["nll_ode_test"], metrics["nll_test"], 2);

  const Finished exact = run({"eval", out, "--metrics", "nll_ode", "evaluation.ode_probes=0",
                              "evaluation.ode_rtol=1e-3", "evaluation.ode_atol=1e-3",
                              "evaluation.test_images=2", "evaluation.train_images=0"});
  ASSERT_EQ(exact.exit_code, 0) << exact.err;
  EXPECT_EQ(result_of(out)[1]["nll_ode_test"]["divergence"], "exact");
}

TEST_F(LikelihoodProgram, AFlowThatWasKilledEndsWithTheSameNumbers) {
  const std::string whole = copy("whole"), killed = copy("killed"), other = copy("other");
  ASSERT_EQ(run(eval_flow(whole)).exit_code, 0);
  const int kills = kill_until_done(eval_flow(killed), 11, 5'000, 60'000, 2'000);
  EXPECT_GE(kills, 3);
  EXPECT_EQ(result_of(killed), result_of(whole));
  std::vector<std::string> split = eval_flow(other);
  split.insert(split.end(), {"evaluation.batch_size=5", "--threads", "3"});
  ASSERT_EQ(run(split).exit_code, 0);
  EXPECT_EQ(result_of(other), result_of(whole)) << "other threads and batches";
}

TEST_F(LikelihoodProgram, WrongMetricsAreRefused) {
  const std::string out = copy("refused");
  const Finished unknown = ddpm({"eval", out, "--metrics", "nl"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err,
              HasSubstr("unknown metric 'nl'; known: nll, nll_ode, samples. Did you mean 'nll'?"));
  const Finished nothing = ddpm(
      {"eval", out, "--metrics", "nll", "evaluation.test_images=0", "evaluation.train_images=0"});
  EXPECT_EQ(nothing.exit_code, 2);
  EXPECT_THAT(nothing.err, HasSubstr("evaluation.test_images and evaluation.train_images are 0"));
  const Finished many = ddpm({"eval", out, "--metrics", "nll", "--timesteps", "41"});
  EXPECT_EQ(many.exit_code, 2);
  EXPECT_THAT(many.err, HasSubstr("41 evaluations per image; 2 to 40 are possible"));
  EXPECT_FALSE(fs::exists(out + "/likelihood.json"));
}

}  // namespace
}  // namespace ddpm::testing
