// A small trained run that the tests of a file share: each takes a fresh copy.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
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

  static inline TemporaryFolder* shared_ = nullptr;
  TemporaryFolder folder_;
};
}  // namespace ddpm::testing
