// `ddpm eval`, `sample` and `ablate` end to end on small runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "framework/core/memory.h"
#include "framework/io/hdf5_file.h"
#include "framework/io/png.h"
#include "tests/program/program.h"

namespace ddpm::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr const char* kStudy = R"({
  "name": "tiny", "title": "A tiny study",
  "base": {
    "data": "digits",
    "model": {"name": "unet", "base_channels": 8, "channel_multipliers": [1, 2],
              "blocks_per_level": 1, "attention_resolutions": [4]},
    "diffusion": {"timesteps": 20},
    "optimizer": {"learning_rate": 1e-3, "warmup_steps": 0},
    "ema": {"decay": [0.9]},
    "training": {"steps": 20, "batch_size": 8, "log_every": 10, "checkpoint_every": 10},
    "sampling": {"count": 9, "batch_size": 9},
    "evaluation": {"test_images": 8, "train_images": 8, "samples": 9}
  },
  "seeds": [0, 1],
  "variants": [
    {"name": "simple", "label": "L_simple", "paper": {"FID": "3.17"}},
    {"name": "wild", "set": {"diffusion.loss": "variational", "diffusion.variance": "learned",
                             "optimizer.learning_rate": 10, "optimizer.grad_clip": 0,
                             "training.steps": 60}}
  ],
  "columns": ["nll_test", "loss_final"]
})";

class StudyProgram : public ::testing::Test {
 protected:
  void SetUp() override { write_file(study_, kStudy); }
  std::vector<std::string> ablate(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"ablate", study_, "--out", out_, "--progress", "none"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  std::vector<nlohmann::json> results() const {
    std::vector<nlohmann::json> all;
    std::istringstream lines(read_file(out_ + "/results.jsonl"));
    for (std::string line; std::getline(lines, line);) all.push_back(nlohmann::json::parse(line));
    return all;
  }

  TemporaryFolder folder_;
  std::string study_ = folder_ / "study.json", out_ = folder_ / "out";
};

TEST_F(StudyProgram, MoreSeedsAddRuns) {
  ASSERT_EQ(run(ablate({"--only", "simple", "--seeds", "1"})).exit_code, 0);
  const auto before = results();
  ASSERT_EQ(run(ablate({"--only", "simple", "--seeds", "0,1"})).exit_code, 0);
  const auto all = results();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]["seed"], 0);
  EXPECT_EQ(all[1], before.at(0)) << "not run again";
  const fs::directory_iterator runs(out_ + "/runs");
  EXPECT_EQ(std::distance(begin(runs), end(runs)), 2);
}

TEST_F(StudyProgram, TrainsOnceWhatIsDrawnInManyWays) {
  nlohmann::json study = nlohmann::json::parse(kStudy);
  study["seeds"] = {3};
  study["variants"] = nlohmann::json::parse(R"([
    {"name": "ancestral"},
    {"name": "slower", "set": {"optimizer.learning_rate": 1e-4}},
    {"name": "ddim", "set": {"sampling.sampler.name": "ddim", "sampling.sampler.steps": 5}},
    {"name": "slower-unipc", "set": {"sampling.sampler.name": "unipc",
        "sampling.sampler.steps": 5, "optimizer.learning_rate": 1e-4}}])");
  write_file(study_, study.dump());
  ASSERT_EQ(run(ablate()).exit_code, 0);
  const auto all = results();
  ASSERT_EQ(all.size(), 4u);
  const auto folder = [&](int i) {
    return fmt::format("{}/runs/{:05}-{}-s3", out_, i,
                       all[static_cast<size_t>(i)]["variant"].get<std::string>());
  };
  for (const int i : {0, 1}) {
    EXPECT_FALSE(all[static_cast<size_t>(i)].contains("trained_in"));
    const auto& drawn = all[static_cast<size_t>(i + 2)];
    EXPECT_EQ(drawn["trained_in"], fs::path(folder(i)).filename().string());
    EXPECT_EQ(drawn["status"], "completed");
    EXPECT_EQ(drawn["metrics"]["loss_final"], all[static_cast<size_t>(i)]["metrics"]["loss_final"]);
    // With the seconds that its training took.
    EXPECT_EQ(read_file(folder(i + 2) + "/metrics.jsonl"), read_file(folder(i) + "/metrics.jsonl"));
    // What the first cell's run says when it is drawn from like that.
    const std::string name = i == 0 ? "ddim" : "unipc";
    ASSERT_EQ(run({"eval", folder(i), "sampling.sampler.name=" + name, "sampling.sampler.steps=5",
                   "--progress", "none"})
                  .exit_code,
              0);
    const auto metrics = nlohmann::json::parse(read_file(folder(i) + "/result.json"))["metrics"];
    EXPECT_EQ(drawn["metrics"], metrics);
    EXPECT_NE(drawn["metrics"]["sample_mean"],
              all[static_cast<size_t>(i)]["metrics"]["sample_mean"]);
  }
  EXPECT_NE(all[0]["metrics"]["loss_final"], all[1]["metrics"]["loss_final"]);
}

TEST_F(StudyProgram, RunsEveryCellAndRecordsDivergenceAsAnOutcome) {
  const Finished result = run(ablate());
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("L_simple"));
  EXPECT_THAT(result.out, HasSubstr("3.17"));
  EXPECT_THAT(result.out, HasSubstr("diverged x2"));
  const auto all = results();
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0]["variant"], "simple");
  EXPECT_EQ(all[1]["seed"], 1);
  EXPECT_EQ(all[0]["status"], "completed");
  EXPECT_EQ(all[2]["status"], "diverged");
  for (const char* metric : {"nll_test", "nll_test_fixed_small", "nll_test_fixed_large",
                             "rate_test", "distortion_test", "rmse_test", "nll_train"})
    EXPECT_TRUE(all[0]["metrics"][metric].is_number()) << metric;
  EXPECT_NE(all[0]["metrics"]["nll_test"], all[1]["metrics"]["nll_test"]);
  const auto summary = nlohmann::json::parse(read_file(out_ + "/summary.json"));
  EXPECT_EQ(summary["variants"]["simple"]["metrics"]["nll_test"]["n"], 2);
  for (const char* file : {"study.json", "results.csv", "report.html"})
    EXPECT_TRUE(fs::exists(out_ + "/" + file)) << file;
  const Image grid = read_png(out_ + "/runs/00000-simple-s0/samples/step_00000020_ema.png");
  EXPECT_GE(grid.shape[0], 64 * 3);
}

TEST_F(StudyProgram, KeepsFinishedCells) {
  ASSERT_EQ(run(ablate({"--only", "simple"})).exit_code, 0);
  const std::string first = out_ + "/runs/00000-simple-s0/result.json";
  const auto before = fs::last_write_time(first);
  ASSERT_EQ(run(ablate({"--only", "simple"})).exit_code, 0);
  EXPECT_EQ(fs::last_write_time(first), before);
  // Another configuration is another cell.
  ASSERT_EQ(run(ablate({"--only", "simple", "--set", "training.steps=30"})).exit_code, 0);
  EXPECT_NE(fs::last_write_time(first), before);
}

TEST_F(StudyProgram, SurvivesAFailingCell) {
  // A file where the first cell's folder should be.
  fs::create_directories(out_ + "/runs");
  write_file(out_ + "/study.json", R"({"name": "tiny"})");
  write_file(out_ + "/runs/00000-simple-s0", "in the way");
  const Finished result = run(ablate({"--only", "simple"}));
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err, HasSubstr("simple, seed 0 failed: " + out_));
  EXPECT_EQ(nlohmann::json::parse(read_file(out_ + "/runs/00001-simple-s1/result.json"))["status"],
            "completed");
}

TEST_F(StudyProgram, RefusesABadVariantBeforeAnyCellRuns) {
  std::string text = kStudy;
  text.replace(text.find("optimizer.grad_clip"), 19, "optimizer.grad_clop");
  write_file(study_, text);
  const Finished result = run(ablate());
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("variant 'wild'"));
  EXPECT_THAT(result.err, HasSubstr("grad_clip"));
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(StudyProgram, RefusesADeviceThatIsNotThereBeforeAnyCellRuns) {
  const std::string reason = memory::unavailable_reason(Device::kCuda);
  if (reason.empty()) GTEST_SKIP() << "there is a GPU";
  const Finished result = run(ablate({"--set", "device=cuda"}));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("device 'cuda': " + reason));
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(StudyProgram, SamplesDoNotDependOnTheBatchSize) {
  ASSERT_EQ(run(ablate({"--only", "simple", "--seeds", "0"})).exit_code, 0);
  const std::string run_folder = out_ + "/runs/00000-simple-s0";
  const auto sample = [&](const std::string& batch) {
    const std::string png = folder_ / (batch + ".png");
    const Finished result = run({"sample", run_folder, "--out", png, "--set",
                                 "sampling.batch_size=" + batch, "--progress", "none"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return read_file(png);
  };
  EXPECT_EQ(sample("9"), sample("2"));
}

// With a learning rate of zero the weights stay as drawn and the network's output is 1e-10 small,
// so that the first loss is that of predicting zero: the mean square of the noise for epsilon, of
// the images for x0, of both, mixed by t, for the velocity. Pairs of arms differ in what these
// squares do not see.
TEST_F(StudyProgram, ArmsShareTheirRandomNumbersUnlessToldOtherwise) {
  auto study = nlohmann::ordered_json::parse(kStudy);
  study["base"]["optimizer"]["learning_rate"] = 0;
  study["base"]["training"] = {{"steps", 1}, {"batch_size", 8}, {"log_every", 1}};
  study["seeds"] = {3};
  study["variants"] = nlohmann::ordered_json::array();
  const auto arm = [&](const char* name, nlohmann::ordered_json set) {
    study["variants"].push_back({{"name", name}, {"set", std::move(set)}});
  };
  arm("noise", {{"diffusion.parameterization", "epsilon"}});
  arm("noise-cosine",
      {{"diffusion.parameterization", "epsilon"}, {"diffusion.schedule", "cosine"}});
  arm("images", {{"diffusion.parameterization", "x0"}});
  arm("images-cosine", {{"diffusion.parameterization", "x0"}, {"diffusion.schedule", "cosine"}});
  arm("both", {{"diffusion.parameterization", "velocity"}});
  arm("both-dropout", {{"diffusion.parameterization", "velocity"}, {"model.dropout", 0.5}});
  write_file(study_, study.dump());
  const auto folder_of = [&](size_t i) {
    return fmt::format("{}/runs/{:05}-{}-s3", out_, i,
                       study["variants"][i]["name"].get<std::string>());
  };
  const auto loss = [&](size_t i) {
    return nlohmann::json::parse(read_file(folder_of(i) + "/metrics.jsonl"))["loss"].get<double>();
  };
  const auto weights = [&](size_t i) {
    const Hdf5Reader file(folder_of(i) + "/checkpoints/step_00000001.h5");
    return file.read<float>("/params/conv_in/weight", file.info("/params/conv_in/weight").shape);
  };
  const auto grid = [&](size_t i) {
    return read_file(folder_of(i) + "/samples/step_00000001_ema.png");
  };
  Finished result = run(ablate());
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (size_t i = 0; i < 6; i += 2) {
    EXPECT_NEAR(loss(i), loss(i + 1), 1e-5 * loss(i)) << "t, noise and order of the data";
    EXPECT_EQ(weights(i), weights(0)) << "initial weights";
  }
  EXPECT_EQ(grid(4), grid(5)) << "x_T";
  auto summary = nlohmann::json::parse(read_file(out_ + "/summary.json"));
  EXPECT_EQ(summary["comparisons"]["loss_final"]["images"]["seeds_paired"], true);

  result = run(ablate({"--independent"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (size_t i = 0; i < 6; i += 2) {
    EXPECT_GT(std::abs(loss(i) - loss(i + 1)), 1e-3 * loss(i));
    EXPECT_NE(weights(i), weights(i + 1));
  }
  EXPECT_NE(grid(4), grid(5));
  summary = nlohmann::json::parse(read_file(out_ + "/summary.json"));
  EXPECT_EQ(summary["comparisons"]["loss_final"]["images"]["seeds_paired"], false);
  for (const auto& line : results()) EXPECT_EQ(line["config"]["stream"], line["variant"]);
}

TEST_F(StudyProgram, RefusesABaselineThatIsNoVariant) {
  auto study = nlohmann::ordered_json::parse(kStudy);
  study["baseline"] = "simpel";
  study["common_random_numbers"] = "no";
  write_file(study_, study.dump());
  const Finished result = run(ablate());
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("Did you mean 'simple'?"));
  EXPECT_THAT(result.err, HasSubstr("common_random_numbers"));
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(StudyProgram, RefusesTablesThatTheReportCouldNotShow) {
  const auto refusal = [&](const char* tables) {
    auto study = nlohmann::ordered_json::parse(kStudy);
    study["tables"] = nlohmann::ordered_json::parse(tables);
    write_file(study_, study.dump());
    const Finished result = run(ablate({"--dry-run"}));
    EXPECT_EQ(result.exit_code, 2) << tables;
    return result.err;
  };
  EXPECT_THAT(refusal(R"({})"), HasSubstr("tables"));
  EXPECT_THAT(refusal(R"([{"title": "T", "rows": []}])"),
              HasSubstr("either columns or rate_distortion"));
  EXPECT_THAT(refusal(R"([{"title": "T", "columns": {"FID": 3}, "rows": []}])"),
              HasSubstr("map names to names"));
  EXPECT_THAT(refusal(R"([{"title": "T", "columns": {"FID": "fid"}, "rows": [3]}])"),
              HasSubstr("rows must be objects"));
  EXPECT_THAT(refusal(R"([{"title": "T", "columns": {"FID": "fid"},
                           "rows": [{"label": "L", "variant": "simpel", "paper": {}}]}])"),
              HasSubstr("names no variant: \"simpel\""));
  EXPECT_THAT(refusal(R"([{"title": "T", "rate_distortion": {"variant": "simple"},
                           "rows": [{"steps": 1000, "rate": "1.7"}]}])"),
              HasSubstr("steps, rate and rmse"));
}

TEST_F(StudyProgram, ComparesTwoOfItsRuns) {
  ASSERT_EQ(run(ablate({"--only", "simple"})).exit_code, 0);
  const std::string a = out_ + "/runs/00000-simple-s0", b = out_ + "/runs/00001-simple-s1";
  const std::string page = folder_ / "ab.html";
  const Finished result = run({"report", a, "--compare", b, "--out", page});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("seed"));
  EXPECT_THAT(result.out, HasSubstr("0  ->  1"));
  EXPECT_THAT(read_file(page), HasSubstr("Settings in which the runs differ"));
  const Finished json = run({"report", a, "--compare", b, "--out", page, "--json"});
  EXPECT_EQ(nlohmann::json::parse(json.out)["differences"],
            nlohmann::json::parse(R"({"seed": ["0", "1"]})"));
  const Finished refused = run({"report", a, "--compare", out_, "--out", folder_ / "no.html"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("is a study; name two runs"));
  EXPECT_FALSE(fs::exists(folder_ / "no.html"));
}

TEST_F(StudyProgram, EvalRefusesAForeignCheckpoint) {
  ASSERT_EQ(run(ablate({"--only", "simple", "--seeds", "0"})).exit_code, 0);
  const std::string run_folder = out_ + "/runs/00000-simple-s0";
  ASSERT_EQ(run({"train", "--config", run_folder + "/config.json", "--out", folder_ / "other",
                 "--set", "model.base_channels=12", "--progress", "none"})
                .exit_code,
            0);
  const Finished result =
      run({"eval", run_folder, "--checkpoint", folder_ / "other/checkpoints/step_00000020.h5"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("step_00000020.h5"));
}

}  // namespace
}  // namespace ddpm::testing
