// `ddpm train` end to end: determinism, interruption, resumption, divergence, refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "framework/core/bf16.h"
#include "framework/core/memory.h"
#include "framework/io/hdf5_file.h"
#include "tests/program/program.h"

namespace ddpm::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

// A real training run in miniature: dropout, averages and clipping are on.
constexpr const char* kTiny = R"({
  "data": "digits",
  "model": {"name": "unet", "base_channels": 8, "channel_multipliers": [1, 2],
            "blocks_per_level": 1, "attention_resolutions": [4], "dropout": 0.1},
  "diffusion": {"timesteps": 50},
  "optimizer": {"learning_rate": 1e-3, "warmup_steps": 10},
  "ema": {"decay": [0.9, 0.99]},
  "training": {"steps": 60, "batch_size": 8, "log_every": 5, "checkpoint_every": 7},
  "sampling": {"count": 4, "batch_size": 4}
})";

class TrainProgram : public ::testing::Test {
 protected:
  void SetUp() override { write_file(config_, kTiny); }

  std::vector<std::string> train(const std::string& out, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {"train",       "--config",   config_, "--out",
                                          folder_ / out, "--progress", "none"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  std::string last_checkpoint(const std::string& out, int step = 60) const {
    return read_file(fmt::format("{}/checkpoints/step_{:08}.h5", folder_ / out, step));
  }
  // (step, loss) pairs: what must not depend on how often the run was stopped.
  std::vector<std::pair<int, double>> losses(const std::string& out) const {
    std::vector<std::pair<int, double>> result;
    std::istringstream lines(read_file(folder_ / out + "/metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      const auto json = nlohmann::json::parse(line);
      result.emplace_back(json["step"], json["loss"]);
    }
    return result;
  }

  TemporaryFolder folder_;
  std::string config_ = folder_ / "tiny.json";
};

TEST_F(TrainProgram, TwoRunsWriteTheSameBytes) {
  ASSERT_EQ(run(train("a")).exit_code, 0);
  ASSERT_EQ(run(train("b")).exit_code, 0);
  EXPECT_EQ(last_checkpoint("a"), last_checkpoint("b"));
  EXPECT_EQ(losses("a"), losses("b"));
  EXPECT_EQ(losses("a").size(), 12u);
}

TEST_F(TrainProgram, WeightsDoNotDependOnTheThreadCount) {
  ASSERT_EQ(run(train("one", {"--set", "threads=1"})).exit_code, 0);
  ASSERT_EQ(run(train("three", {"--set", "threads=3"})).exit_code, 0);
  const auto weights = [&](const std::string& out) {
    const Hdf5Reader file(folder_ / out + "/checkpoints/step_00000060.h5");
    std::vector<float> all;
    for (const std::string& path : file.arrays("/")) {
      const std::vector<float> values = file.read<float>(path, file.info(path).shape);
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  };
  EXPECT_EQ(weights("one"), weights("three"));
}

TEST_F(TrainProgram, KilledTwentyTimesItEndsWithTheSameBytes) {
  ASSERT_EQ(run(train("whole")).exit_code, 0);
  std::mt19937 random(2020);
  int kills = 0;
  bool finished = false;
  std::vector<std::string> arguments = train("killed");
  // The delay grows until the run gets through, so that kills fall everywhere: before the first
  // checkpoint, while one is written, between steps.
  for (int attempt = 0; !finished; ++attempt) {
    ASSERT_LT(attempt, 400);
    Program program(arguments);
    const bool spare = kills >= 20;
    if (!spare) {
      usleep(std::uniform_int_distribution<useconds_t>(20'000, 250'000)(random));
      program.signal(SIGKILL);
    }
    const Finished result = program.wait();
    if (result.exit_code == 128 + SIGKILL) {
      ++kills;
    } else {
      ASSERT_EQ(result.exit_code, 0) << result.err;
      finished = spare;
      // Done before the twentieth kill: start over and go on killing.
      if (!spare) fs::remove_all(folder_ / "killed");
    }
    const bool started = fs::exists(folder_ / "killed/config.json");
    arguments = started ? train("killed", {"--resume"}) : train("killed", {"--overwrite"});
    if (!started) fs::remove_all(folder_ / "killed");
  }
  EXPECT_EQ(kills, 20);
  EXPECT_EQ(last_checkpoint("killed"), last_checkpoint("whole"));
  EXPECT_EQ(losses("killed"), losses("whole"));
}

TEST_F(TrainProgram, CtrlCSavesAndSaysHowToResume) {
  ASSERT_EQ(run(train("whole", {"--set", "training.steps=300"})).exit_code, 0);
  Program program(train("stopped", {"--set", "training.steps=300"}));
  while (!fs::exists(folder_ / "stopped/metrics.jsonl")) usleep(10'000);
  program.signal(SIGINT);
  const Finished stopped = program.wait();
  EXPECT_EQ(stopped.exit_code, 130) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("--resume"));
  EXPECT_THAT(stopped.err, HasSubstr(folder_ / "stopped"));
  const auto result = nlohmann::json::parse(read_file(folder_ / "stopped/result.json"));
  EXPECT_EQ(result["status"], "interrupted");
  ASSERT_EQ(
      run({"train", "--out", folder_ / "stopped", "--resume", "--progress", "none"}).exit_code, 0);
  EXPECT_EQ(last_checkpoint("stopped", 300), last_checkpoint("whole", 300));
  EXPECT_EQ(losses("stopped"), losses("whole"));
}

// Runs that are measured on the way.
class EvaluatedProgram : public TrainProgram {
 protected:
  std::vector<std::string> train_evaluated(const std::string& out,
                                           std::vector<std::string> more = {}) const {
    std::vector<std::string> set = {
        "training.evaluate_every=16", "training.keep_checkpoints=100",
        "evaluation.test_images=8",   "evaluation.train_images=0",
        "evaluation.samples=12",      "evaluation.timesteps_per_image=4"};
    more.insert(more.end(), set.begin(), set.end());
    return train(out, more);
  }
  // Without the time they took.
  std::vector<nlohmann::json> evaluations(const std::string& out) const {
    std::vector<nlohmann::json> found;
    std::istringstream lines(read_file(folder_ / out + "/metrics.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      auto json = nlohmann::json::parse(line);
      if (!json.contains("evaluation")) continue;
      json.erase("eval_seconds");
      found.push_back(json);
    }
    return found;
  }
  nlohmann::json result(const std::string& out) const {
    return nlohmann::json::parse(read_file(folder_ / out + "/result.json"));
  }
};

TEST_F(EvaluatedProgram, ReportsTheBestOfTrainingAndTheLast) {
  ASSERT_EQ(run(train("plain")).exit_code, 0);
  const Finished finished = run(train_evaluated("a"));
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  const std::vector<nlohmann::json> lines = evaluations("a");
  ASSERT_EQ(lines.size(), 3u);  // 16, 32, 48; the last step's is the result
  const nlohmann::json last = result("a");
  EXPECT_EQ(last["evaluated"]["step"], 60);
  for (const char* metric : {"nll_test", "fd_digits1"}) {
    double best = last["metrics"][metric];
    int64_t step = 60;
    for (const auto& line : lines)
      if (const double value = line["evaluation"][metric]; value < best)
        best = value, step = line["step"];
    EXPECT_EQ(last["metrics"][std::string(metric) + "_best"], best);
    const nlohmann::json& info = last["metric_info"][std::string(metric) + "_best"];
    EXPECT_EQ(info["step"], step);
    EXPECT_EQ(info["best_of"], 4);
    EXPECT_EQ(info["better"], "lower");
  }
  EXPECT_FALSE(last["metrics"].contains("loss_final_best"));
  // Measuring has no say in training.
  const Hdf5Reader plain(folder_ / "plain/checkpoints/step_00000060.h5");
  const Hdf5Reader evaluated(folder_ / "a/checkpoints/step_00000060.h5");
  for (const std::string& path : plain.arrays("/"))
    EXPECT_EQ(plain.read<float>(path, plain.info(path).shape),
              evaluated.read<float>(path, plain.info(path).shape));
  // What a line says is what `ddpm eval` says of that checkpoint.
  const Finished eval =
      run({"eval", folder_ / "a", "--checkpoint", folder_ / "a/checkpoints/step_00000032.h5",
           "--json", "--progress=none"});
  ASSERT_EQ(eval.exit_code, 0) << eval.err;
  const auto metrics = nlohmann::json::parse(eval.out)["metrics"];
  for (const auto& [metric, value] : lines[1]["evaluation"].items())
    EXPECT_EQ(metrics[metric], value) << metric;
}

TEST_F(EvaluatedProgram, KilledAnywhereItHasTheSameEvaluations) {
  ASSERT_EQ(run(train_evaluated("whole")).exit_code, 0);
  std::mt19937 random(5);
  std::vector<std::string> arguments = train_evaluated("killed");
  int kills = 0;
  for (int attempt = 0; attempt < 60; ++attempt) {
    Program program(arguments);
    // SIGINT saves first, SIGKILL does not; later attempts are left alone to get through.
    if (attempt < 12) {
      usleep(std::uniform_int_distribution<useconds_t>(50'000, 500'000)(random));
      program.signal(attempt % 2 ? SIGINT : SIGKILL);
    }
    const Finished finished = program.wait();
    if (finished.exit_code == 0) break;
    ASSERT_TRUE(finished.exit_code == 128 + SIGKILL || finished.exit_code == 130) << finished.err;
    ++kills;
    const bool started = fs::exists(folder_ / "killed/config.json");
    arguments = train_evaluated("killed", {started ? "--resume" : "--overwrite"});
    if (!started) fs::remove_all(folder_ / "killed");
  }
  EXPECT_GE(kills, 2);
  EXPECT_EQ(evaluations("killed"), evaluations("whole"));
  EXPECT_EQ(result("killed")["metrics"], result("whole")["metrics"]);
}

TEST_F(TrainProgram, DivergenceIsAResult) {
  // An unbounded learned variance under an absurd learning rate: exp(-log_variance) overflows.
  const Finished result =
      run(train("wild", {"--set", "diffusion.loss=variational", "--set",
                         "diffusion.variance=learned", "--set", "optimizer.learning_rate=10",
                         "--set", "optimizer.grad_clip=0", "--set", "optimizer.warmup_steps=0"}));
  EXPECT_EQ(result.exit_code, 3) << result.err;
  const auto json = nlohmann::json::parse(read_file(folder_ / "wild/result.json"));
  EXPECT_EQ(json["status"], "diverged");
  EXPECT_THAT(json["reason"].get<std::string>(), HasSubstr("not finite"));
  EXPECT_TRUE(json["diverged_at_step"].is_number_integer());
}

TEST_F(TrainProgram, RefusesAnExistingRunUnlessToldOtherwise) {
  ASSERT_EQ(run(train("a", {"--set", "training.steps=2"})).exit_code, 0);
  const std::string before = last_checkpoint("a", 2);
  const Finished refused = run(train("a"));
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("--resume continues the run in it, --overwrite starts anew"));
  EXPECT_EQ(last_checkpoint("a", 2), before);
  EXPECT_EQ(run(train("a", {"--overwrite", "--set", "training.steps=3"})).exit_code, 0);
  EXPECT_FALSE(last_checkpoint("a", 3).empty());
}

TEST_F(TrainProgram, ARunCanBeProlongedButNotChanged) {
  ASSERT_EQ(run(train("long", {"--set", "training.steps=30"})).exit_code, 0);
  ASSERT_EQ(run(train("whole")).exit_code, 0);
  const Finished other = run(train("long", {"--resume", "--set", "optimizer.beta1=0.5"}));
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("cannot resume: the configuration differs"));
  EXPECT_THAT(other.err, HasSubstr("optimizer.beta1"));
  ASSERT_EQ(run(train("long", {"--resume", "--set", "training.steps=60"})).exit_code, 0);
  EXPECT_EQ(losses("long"), losses("whole"));
}

TEST_F(TrainProgram, ARecordFromBeforeAKeyExistedIsReadWithItsDefault) {
  ASSERT_EQ(run(train("a", {"--set", "training.steps=7"})).exit_code, 0);
  const std::string path = folder_ / "a/config.json";
  auto config = nlohmann::ordered_json::parse(read_file(path));
  ASSERT_EQ(config.erase("stream"), 1u);
  write_file(path, config.dump());
  EXPECT_EQ(run({"sample", folder_ / "a", "--out", folder_ / "a.png", "--progress=none"}).exit_code,
            0);
  ASSERT_EQ(run(train("a", {"--resume"})).exit_code, 0);
  EXPECT_EQ(losses("a").back().first, 60);
}

TEST_F(TrainProgram, RefusesADamagedCheckpoint) {
  ASSERT_EQ(run(train("a", {"--set", "training.steps=7"})).exit_code, 0);
  const std::string path = folder_ / "a/checkpoints/step_00000007.h5";
  std::string bytes = read_file(path);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_file(path, bytes);
  const Finished result = run(train("a", {"--resume"}));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("step_00000007.h5: damaged"));
}

// In bf16 the same run is rounded to 8 bits of significand throughout, and is as repeatable.
class Bf16Program : public TrainProgram {
 protected:
  std::vector<std::string> train_in(const std::string& precision, const std::string& out,
                                    std::vector<std::string> more = {}) const {
    more.push_back("--precision=" + precision);
    return train(out, more);
  }
};

TEST_F(Bf16Program, LearnsWhatF32Learns) {
  ASSERT_EQ(run(train_in("f32", "f32")).exit_code, 0);
  ASSERT_EQ(run(train_in("bf16", "bf16")).exit_code, 0);
  const auto expected = losses("f32"), actual = losses("bf16");
  ASSERT_EQ(actual.size(), expected.size());
  EXPECT_NE(actual, expected) << "something was rounded";
  EXPECT_LT(actual.back().second, 0.8 * actual.front().second) << "it learns";
  // A loss is a mean over 40 images of 64 pixels; the error of a prediction of some ten rounded
  // layers is near 1 % of it, and mostly cancels in the mean. The weights drift apart as slowly.
  for (size_t i = 0; i < actual.size(); ++i)
    EXPECT_NEAR(actual[i].second, expected[i].second, 0.02 * expected[i].second)
        << "step " << actual[i].first;
}

TEST_F(Bf16Program, InterruptedItEndsWithTheSameBytes) {
  ASSERT_EQ(run(train_in("bf16", "whole", {"--set", "training.steps=300"})).exit_code, 0);
  Program program(train_in("bf16", "stopped", {"--set", "training.steps=300"}));
  while (!fs::exists(folder_ / "stopped/metrics.jsonl")) usleep(10'000);
  program.signal(SIGINT);
  EXPECT_EQ(program.wait().exit_code, 130);
  ASSERT_EQ(
      run({"train", "--out", folder_ / "stopped", "--resume", "--progress", "none"}).exit_code, 0);
  EXPECT_EQ(last_checkpoint("stopped", 300), last_checkpoint("whole", 300));
  EXPECT_EQ(losses("stopped"), losses("whole"));
}

TEST_F(Bf16Program, CheckpointsAreF32AndServeBothPrecisions) {
  const std::string out = folder_ / "a";
  ASSERT_EQ(run(train_in("bf16", "a", {"--set", "training.steps=30"})).exit_code, 0);
  const Hdf5Reader file(out + "/checkpoints/step_00000030.h5");
  EXPECT_EQ(file.string("/", "dtype"), "f32");
  const auto weight = file.info("/params/conv_in/weight");
  const std::vector<float> values = file.read<float>("/params/conv_in/weight", weight.shape);
  EXPECT_TRUE(std::any_of(values.begin(), values.end(), [](float v) { return bf16(v) != v; }))
      << "masters are not rounded";

  const auto bound = [&](const std::string& precision) {
    const Finished result =
        run({"eval", out, "--precision", precision, "--json", "--progress", "none", "--set",
             "evaluation.test_images=16", "--set", "evaluation.train_images=0"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out)["metrics"]["nll_test"].get<double>();
  };
  // The same weights: only the predictions are rounded.
  const double f32 = bound("f32"), rounded = bound("bf16");
  EXPECT_NE(rounded, f32);
  EXPECT_NEAR(rounded, f32, 0.02 * f32);
  for (const char* precision : {"bf16", "f32"})
    EXPECT_EQ(run({"sample", out, "--out", folder_ / "a.png", "--precision", precision,
                   "--progress", "none"})
                  .exit_code,
              0);

  const Finished resumed = run(train_in("f32", "a", {"--resume", "--set", "training.steps=60"}));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(losses("a").back().first, 60);
  EXPECT_EQ(nlohmann::json::parse(read_file(out + "/config.json"))["precision"], "f32");
}

struct BadInput {
  const char* name;
  std::vector<std::string> set;
  const char* message;
};

class TrainRefuses : public TrainProgram, public ::testing::WithParamInterface<BadInput> {};

TEST_P(TrainRefuses, WithOneMessageAndNothingWritten) {
  std::vector<std::string> more;
  for (const std::string& assignment : GetParam().set) {
    more.push_back("--set");
    more.push_back(assignment);
  }
  const Finished result = run(train("x", more));
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_THAT(result.err, HasSubstr(GetParam().message));
  EXPECT_FALSE(fs::exists(folder_ / "x"));
}

INSTANTIATE_TEST_SUITE_P(
    Inputs, TrainRefuses,
    ::testing::Values(
        BadInput{"UnknownKey", {"optimizer.lerning_rate=1"}, "Did you mean 'learning_rate'?"},
        BadInput{"UnknownSchedule", {"diffusion.schedule=linaer"}, "linear"},
        BadInput{"WrongType", {"training.steps=many"}, "training.steps"},
        BadInput{"OutOfRange", {"training.batch_size=0"}, "training.batch_size"},
        BadInput{"ImageSize", {"model.channel_multipliers=[1,2,2,2,2]"}, "8 x 8 cannot be halved"},
        BadInput{"UnknownDevice", {"device=tpu"}, "device"},
        BadInput{"UnknownPrecision", {"precision=f16"}, "bf16"},
        BadInput{"MissingData", {"data={\"name\":\"cifar10\",\"path\":\"/nowhere\"}"}, "/nowhere"},
        BadInput{"SimpleLossLearnsNoVariance", {"diffusion.variance=learned"}, "variance"}),
    [](const auto& test) { return test.param.name; });

TEST_F(TrainProgram, RefusesADeviceThatIsNotThere) {
  const std::string reason = memory::unavailable_reason(Device::kCuda);
  if (reason.empty()) GTEST_SKIP() << "there is a GPU";
  const Finished result = run(train("x", {"--device=cuda"}));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("device 'cuda': " + reason));
  EXPECT_FALSE(fs::exists(folder_ / "x"));
  ASSERT_EQ(run(train("y", {"--device=auto", "--set", "training.steps=1"})).exit_code, 0);
  const auto json = nlohmann::json::parse(read_file(folder_ / "y/result.json"));
  EXPECT_EQ(json["device"]["note"], "device auto: using the CPU: " + reason);
}

TEST_F(TrainProgram, ReportsAllConfigErrorsAtOnceWithPlaces) {
  write_file(config_, "{\n  \"seed\": -1,\n  \"seed\": 2,\n  \"dta\": \"digits\"\n}\n");
  const Finished result = run(train("x"));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr(":3:3"));  // the duplicate
  EXPECT_THAT(result.err, HasSubstr(":4:3"));
  EXPECT_THAT(result.err, HasSubstr("Did you mean 'data'?"));
}

TEST_F(TrainProgram, RefusesAnOutputThatCannotBeWritten) {
  const Finished result = run(train("tiny.json/inside"));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("cannot create the folder"));
}

TEST_F(TrainProgram, DryRunWritesNothing) {
  const Finished result = run(train("x", {"--dry-run"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("parameters"));
  EXPECT_FALSE(fs::exists(folder_ / "x"));
}

}  // namespace
}  // namespace ddpm::testing
