// ddpm distill as a user sees it: chains, what they leave, and that they go on where they stopped.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/program/trained_run.h"

namespace ddpm::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Json = nlohmann::json;

// The shared run predicts epsilon; `velocity` is its student, which a chain can begin with.
class DistillProgram : public TrainedRun {
 protected:
  static void SetUpTestSuite() {
    TrainedRun::SetUpTestSuite();
    const Finished made =
        ddpm({"distill", *shared_ / "run", "--out", *shared_ / "velocity", "--method", "output",
              "--steps", "6", "diffusion.parameterization=velocity"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
  }
  static std::vector<std::string> chain(const std::string& out) {
    return {"distill",
            *shared_ / "velocity",
            "--out",
            out,
            "--from",
            "4",
            "--to",
            "1",
            "--steps",
            "6",
            "training.checkpoint_every=2",
            "--progress",
            "none"};
  }
  static std::string last_checkpoint(const std::string& run) {
    return read_file(run + "/checkpoints/step_00000006.h5");
  }
  static Json read(const std::string& path) { return Json::parse(read_file(path)); }
};

TEST_F(DistillProgram, MakesAChainOfOrdinaryRuns) {
  const std::string out = folder_ / "chain";
  const Finished made = run(chain(out));
  ASSERT_EQ(made.exit_code, 0) << made.err;
  for (const int steps : {4, 2, 1}) {
    const std::string stage = fmt::format("{}/{}", out, steps);
    const Json config = read(stage + "/config.json");
    EXPECT_EQ(config["distillation"]["name"], "progressive");
    EXPECT_EQ(config["distillation"]["steps"], steps);
    EXPECT_EQ(config["distillation"]["teacher"],
              steps == 4 ? *shared_ / "velocity" : fmt::format("{}/{}", out, 2 * steps));
    EXPECT_EQ(config["sampling"]["sampler"]["steps"], steps);
    EXPECT_EQ(read(stage + "/result.json")["status"], "completed");
    const Finished drawn = ddpm({"sample", stage, "--out", folder_ / "grid.png"});
    EXPECT_EQ(drawn.exit_code, 0) << drawn.err;
  }
  const Finished measured = ddpm({"eval", out + "/1", "--metrics", "samples"});
  EXPECT_EQ(measured.exit_code, 0) << measured.err;
  EXPECT_TRUE(read(out + "/1/result.json")["metrics"].contains("fd_digits1"));

  // Asked again, nothing is done again.
  const std::string result = read_file(out + "/1/result.json");
  EXPECT_EQ(run(chain(out)).exit_code, 0);
  EXPECT_EQ(read_file(out + "/1/result.json"), result);
  const Finished other = run({"distill", *shared_ / "velocity", "--out", out, "--from", "4",
                              "--steps", "7", "--progress", "none"});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("training.steps"));
}

TEST_F(DistillProgram, KilledAnywhereItEndsWithTheSameBytes) {
  const std::string out = folder_ / "chain";
  ASSERT_EQ(run(chain(out)).exit_code, 0);
  std::vector<std::string> expected;
  for (const char* steps : {"/4", "/2", "/1"}) expected.push_back(last_checkpoint(out + steps));
  // The same folder, since a checkpoint names its teacher's.
  fs::remove_all(out);
  EXPECT_GT(kill_until_done(chain(out), 5, 60'000, 200'000, 10'000), 3);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(last_checkpoint(out + std::vector<std::string>{"/4", "/2", "/1"}[i]), expected[i]);
}

TEST_F(DistillProgram, ASmallerNetworkLearnsTheTeachersOutputs) {
  const std::string out = folder_ / "small";
  const Finished made = ddpm({"distill", *shared_ / "run", "--out", out, "--method", "output",
                              "--steps", "4", "model.base_channels=4"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_LT(read(out + "/result.json")["metrics"]["parameters"],
            read(*shared_ / "run" + "/result.json")["metrics"]["parameters"]);
  EXPECT_EQ(ddpm({"sample", out, "--out", folder_ / "grid.png"}).exit_code, 0);
}

TEST_F(DistillProgram, AConsistencyModelDrawsInOneStepOrTwo) {
  for (const char* method : {"consistency", "consistency_training"}) {
    const std::string out = folder_ / method;
    const Finished made = ddpm({"distill", *shared_ / "velocity", "--out", out, "--method", method,
                                "--from", "10", "--steps", "4"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    for (const char* steps : {"1", "2"}) {
      const Finished drawn = ddpm({"sample", out, "--out", folder_ / "grid.png",
                                   std::string("sampling.sampler.steps=") + steps});
      EXPECT_EQ(drawn.exit_code, 0) << drawn.err;
    }
  }
}

TEST_F(DistillProgram, RefusesATeacherThatWasTrainedOn) {
  const std::string teacher = copy("run"), out = folder_ / "student";
  const auto distill = [&](const std::string& steps) {
    return ddpm({"distill", teacher, "--out", out, "--method", "output", "--steps", steps});
  };
  ASSERT_EQ(distill("2").exit_code, 0);
  ASSERT_EQ(ddpm({"train", "--resume=" + teacher, "training.steps=22"}).exit_code, 0);
  const Finished resumed = ddpm({"train", "--resume=" + out, "training.steps=4"});
  EXPECT_EQ(resumed.exit_code, 2);
  EXPECT_THAT(resumed.err, HasSubstr("distillation.teacher_sha256"));
}

struct BadDistillation {
  const char* name;
  std::vector<std::string> arguments;
  const char* message;
};

class DistillRefuses : public DistillProgram,
                       public ::testing::WithParamInterface<BadDistillation> {};

TEST_P(DistillRefuses, WithOneMessageAndNothingWritten) {
  std::vector<std::string> arguments = {"distill"};
  for (std::string argument : GetParam().arguments) {
    if (argument == "RUN" || argument == "VELOCITY")
      argument = *shared_ / (argument == "RUN" ? "run" : "velocity");
    arguments.push_back(argument);
  }
  arguments.insert(arguments.end(), {"--out", folder_ / "x"});
  const Finished result = ddpm(arguments);
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_THAT(result.err, HasSubstr(GetParam().message));
  EXPECT_FALSE(fs::exists(folder_ / "x"));
}

INSTANTIATE_TEST_SUITE_P(
    Inputs, DistillRefuses,
    ::testing::Values(
        BadDistillation{"NoRun", {"/nowhere"}, "/nowhere: not a run folder"},
        BadDistillation{"NotHalved", {"VELOCITY", "--from", "12"}, "--from 12: every stage halves"},
        BadDistillation{"Rising", {"VELOCITY", "--from", "2", "--to", "4"}, "is not below --to 4"},
        BadDistillation{"TooManySteps",
                        {"VELOCITY", "--from", "32"},
                        "the process has only 40 timesteps; at most 20"},
        BadDistillation{"PreviousMean",
                        {"VELOCITY", "--from", "4", "diffusion.parameterization=previous_mean"},
                        "'velocity' and 'x0' can be distilled"},
        BadDistillation{"OtherNetwork",
                        {"VELOCITY", "--from", "4", "model.base_channels=4"},
                        "'output' is for others"},
        BadDistillation{"OtherSchedule",
                        {"RUN", "--method", "output", "diffusion.timesteps=50"},
                        "its noise levels"},
        BadDistillation{"UnknownMethod", {"RUN", "--method", "magic"}, "progressive"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace ddpm::testing
