// Whole experiments on the emulated GPU: what results say about it, what it refuses, and what
// happens when its memory is too small.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/runner/evaluate.h"
#include "experiments/runner/run_folder.h"
#include "experiments/runner/train.h"
#include "framework/core/pool.h"
#include "framework/cuda/cublas.h"
#include "tests/cuda_on_host/device.h"

namespace ddpm::testing {
namespace {

using cuda_on_host::DeviceScope;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr const char* kTiny = R"({
  "data": "digits", "device": "cuda",
  "model": {"name": "unet", "base_channels": 8, "channel_multipliers": [1, 2],
            "blocks_per_level": 1, "attention_resolutions": [4]},
  "diffusion": {"timesteps": 4},
  "optimizer": {"learning_rate": 1e-3, "warmup_steps": 0},
  "training": {"steps": 4, "batch_size": 2, "log_every": 2},
  "sampling": {"count": 3, "batch_size": 2, "weights": "raw"},
  "evaluation": {"test_images": 3, "train_images": 0, "batch_size": 2, "samples": 0}
})";

class CudaExperiment : public ::testing::Test {
 protected:
  void SetUp() override { cuda::cublas(); }  // its workspace is none of a test's memory
  void TearDown() override { fs::remove_all(folder_); }

  TrainOutcome train_with(const std::vector<std::string>& overrides = {}) const {
    TrainRequest request;
    request.source = ConfigSource::parse_text(kTiny, "tiny.json");
    for (const std::string& assignment : overrides) request.source.set(assignment);
    request.out = folder_ + "/run";
    request.overwrite = true;
    return train(std::move(request));
  }
  nlohmann::json result() const {
    return RunFolder::open(folder_ + "/run").read_json("result.json");
  }

  // The message with which `work` fails where `bytes` more device memory than now is there.
  static std::string failure_within(size_t bytes, const std::function<void()>& work) {
    // What earlier tests gave back to the pool would be found there.
    const PoolScope pool(Pool::create(Device::kCuda));
    const DeviceScope scope({.memory_bytes = cuda_on_host::bytes_allocated() + bytes});
    try {
      work();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  std::string folder_ =
      (fs::temp_directory_path() / fmt::format("ddpm-cuda-experiment-{}", getpid())).string();
};

TEST_F(CudaExperiment, NamesTheGpuAndTrainsAsTheCpuDoes) {
  ASSERT_EQ(train_with({"seed=5"}).status, RunStatus::kCompleted);
  EXPECT_EQ(evaluate({.run = folder_ + "/run"}), RunStatus::kCompleted);
  const nlohmann::json cuda = result();
  EXPECT_EQ(cuda["device"]["kind"], "cuda");
  EXPECT_EQ(cuda["device"]["name"], cuda_on_host::kDeviceName);
  EXPECT_EQ(cuda["device"]["compute_capability"], "9.0");
  EXPECT_EQ(cuda["device"]["driver"], "13.0");
  ASSERT_EQ(train_with({"seed=5", "device=cpu"}).status, RunStatus::kCompleted);
  EXPECT_EQ(evaluate({.run = folder_ + "/run"}), RunStatus::kCompleted);
  const nlohmann::json cpu = result();
  EXPECT_EQ(cpu["device"]["kind"], "cpu");
  // As in CudaUNet.MatchesTheCpu: four steps and four terms of f32 sums in another order.
  for (const char* metric : {"loss_final", "nll_test"}) {
    const double expected = cpu["metrics"][metric];
    EXPECT_NEAR(cuda["metrics"][metric].get<double>(), expected, 1e-4 * expected) << metric;
  }
}

// Four steps: two eager ones, one that is captured, and its replay.
TEST_F(CudaExperiment, AccumulatesAsTheCpuDoes) {
  const std::vector<std::string> settings = {"training.batch_size=6", "training.accumulation=3",
                                             "model.dropout=0.1"};
  ASSERT_EQ(train_with(settings).status, RunStatus::kCompleted);
  const double cuda = result()["metrics"]["loss_final"];
  std::vector<std::string> on_cpu = settings;
  on_cpu.push_back("device=cpu");
  ASSERT_EQ(train_with(on_cpu).status, RunStatus::kCompleted);
  const double cpu = result()["metrics"]["loss_final"];
  EXPECT_NEAR(cuda, cpu, 1e-4 * cpu);  // as above
}

TEST_F(CudaExperiment, TrainsWithTwoNoisesAsTheCpuDoes) {
  const std::vector<std::string> settings = {"diffusion.loss=two_noise",
                                             "diffusion.parameterization=step_noise"};
  ASSERT_EQ(train_with(settings).status, RunStatus::kCompleted);
  const double cuda = result()["metrics"]["loss_final"];
  std::vector<std::string> on_cpu = settings;
  on_cpu.push_back("device=cpu");
  ASSERT_EQ(train_with(on_cpu).status, RunStatus::kCompleted);
  const double cpu = result()["metrics"]["loss_final"];
  EXPECT_NEAR(cuda, cpu, 1e-4 * cpu);  // as above
}

TEST_F(CudaExperiment, AutoFallsBackByNameAndCudaDoesNot) {
  const DeviceScope scope({.driver_version = 12040});
  ASSERT_EQ(train_with({"device=auto"}).status, RunStatus::kCompleted);
  EXPECT_EQ(result()["device"]["kind"], "cpu");
  EXPECT_THAT(result()["device"]["note"].get<std::string>(),
              HasSubstr("device auto: using the CPU: the NVIDIA driver is too old"));
  fs::remove_all(folder_);
  EXPECT_THROW(train_with(), UserError);
  EXPECT_FALSE(fs::exists(folder_));
}

TEST_F(CudaExperiment, RefusesBf16WhereTheCardIsTooOldForIt) {
  const DeviceScope scope({.capability = 75});
  try {
    train_with({"precision=bf16"});
    FAIL() << "bf16 on a card of capability 7.5";
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("has compute capability 7.5, bf16 needs 8.0 or later"));
  }
  EXPECT_FALSE(fs::exists(folder_));
  EXPECT_EQ(train_with().status, RunStatus::kCompleted) << "f32 is fine";
}

// What the message advises must be true: with it the same memory is enough.
TEST_F(CudaExperiment, OutOfMemoryNamesTheBatchThatFits) {
  const size_t room = size_t{6} << 20;
  const std::string batch = "training.batch_size=";
  const std::string message = failure_within(room, [&] { train_with({batch + "64"}); });
  EXPECT_THAT(message,
              ContainsRegex("out of device memory: .* were asked for, .* are free; "
                            "training.batch_size/accumulation=64 is too large, [0-9]+ fits"));
  EXPECT_EQ(RunFolder::open(folder_ + "/run").read_json("run.json")["status"], "failed");
  const int fits = std::stoi(message.substr(message.find("large, ") + 7));
  EXPECT_LT(fits, 64);
  EXPECT_EQ(failure_within(room, [&] { train_with({batch + std::to_string(fits)}); }), "");
  EXPECT_THAT(failure_within(room, [&] { train_with({batch + std::to_string(2 * fits)}); }),
              HasSubstr(fmt::format("is too large, {} fits", fits)));
}

TEST_F(CudaExperiment, OutOfMemoryWhileSamplingAndEvaluatingNamesTheirBatch) {
  ASSERT_EQ(train_with({"training.steps=1"}).status, RunStatus::kCompleted);
  const size_t room = size_t{3} << 19;
  EXPECT_THAT(failure_within(room,
                             [&] {
                               sample_run({folder_ + "/run",
                                           "",
                                           folder_ + "/grid.png",
                                           {"sampling.batch_size=64", "sampling.count=64"}});
                             }),
              ContainsRegex("sampling.batch_size=64 is too large, [0-9]+ fits"));
  EXPECT_THAT(failure_within(room,
                             [&] {
                               evaluate({.run = folder_ + "/run",
                                         .overrides = {"evaluation.batch_size=64",
                                                       "evaluation.test_images=64"}});
                             }),
              ContainsRegex("evaluation.batch_size=64 is too large, [0-9]+ fits"));
}

}  // namespace
}  // namespace ddpm::testing
