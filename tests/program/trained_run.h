// A small trained run that the tests of a file share: each takes a fresh copy.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "tests/program/program.h"

namespace ddpm::testing {

inline constexpr const char* kTinyRun = R"({
  "data": "digits",
  "model": {"name": "unet", "base_channels": 8, "channel_multipliers": [1, 2],
            "blocks_per_level": 1, "attention_resolutions": [4]},
  "diffusion": {"timesteps": 40},
  "optimizer": {"learning_rate": 1e-3, "warmup_steps": 10},
  "ema": {"decay": [0.9, 0.99]},
  "training": {"steps": 20, "batch_size": 8},
  "sampling": {"count": 4, "batch_size": 4},
  "evaluation": {"test_images": 12, "train_images": 6, "samples": 8, "batch_size": 2}
})";

class TrainedRun : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    shared_ = new TemporaryFolder;
    write_file(*shared_ / "tiny.json", kTinyRun);
    const Finished trained = ddpm::testing::run(
        {"train", "-c", *shared_ / "tiny.json", "--out", *shared_ / "run", "--progress", "none"});
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
  }
  static void TearDownTestSuite() {
    delete shared_;
    shared_ = nullptr;
  }

  // A fresh copy of the run.
  std::string copy(const std::string& name) const {
    std::filesystem::copy(*shared_ / "run", folder_ / name,
                          std::filesystem::copy_options::recursive);
    return folder_ / name;
  }
  static Finished ddpm(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--progress", "none"});
    return run(arguments);
  }

  // Starts the program again and again and kills it after a time between these, which grows so that
  // every part of the work gets done in the end; returns how often it was killed.
  static int kill_until_done(const std::vector<std::string>& arguments, unsigned seed,
                             useconds_t shortest, useconds_t longest, useconds_t growth) {
    std::mt19937 random(seed);
    for (int kills = 0; kills < 200; ++kills) {
      Program program(arguments);
      usleep(std::uniform_int_distribution<useconds_t>(shortest, longest)(random) +
             growth * static_cast<useconds_t>(kills));
      program.signal(SIGKILL);
      const Finished result = program.wait();
      if (result.exit_code == 0) return kills;
      EXPECT_EQ(result.exit_code, 128 + SIGKILL) << result.err;
      if (result.exit_code != 128 + SIGKILL) return kills;
    }
    ADD_FAILURE() << "killed 200 times and not done";
    return 200;
  }

  static inline TemporaryFolder* shared_ = nullptr;
  TemporaryFolder folder_;
};
}  // namespace ddpm::testing
