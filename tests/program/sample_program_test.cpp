// `ddpm sample` end to end: stopped by a signal, and by the adaptive flow.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "tests/program/trained_run.h"

namespace ddpm::testing {
namespace {

class SampleProgram : public TrainedRun {};

TEST_F(SampleProgram, CtrlCIsNoErrorAndLeavesNothing) {
  const std::string out = copy("run"), png = folder_ / "grid.png";
  Finished stopped;
  // Later and later: a signal that comes before the first step ends the program unheard.
  for (useconds_t delay = 200'000; stopped.err.empty() && delay < 10'000'000; delay *= 2) {
    Program program({"sample", out, "--out", png, "--count", "100000", "--progress", "none"});
    usleep(delay);
    program.signal(SIGINT);
    stopped = program.wait();
    EXPECT_EQ(stopped.exit_code, 130);
  }
  EXPECT_EQ(stopped.err, "ddpm: warning: sampling was interrupted\n");
  EXPECT_FALSE(std::filesystem::exists(png));
}

TEST_F(SampleProgram, TheFlowsImagesDoNotDependOnTheirBatches) {
  const std::string out = copy("run");
  const auto draw = [&](const std::string& batch, const std::string& threads) {
    const std::string file = folder_ / ("batch" + batch + ".npz");
    const Finished drawn =
        ddpm({"sample", out, "--out", file, "--count", "7", "sampling.batch_size=" + batch,
              "--threads", threads, "sampling.sampler.name=ode"});
    EXPECT_EQ(drawn.exit_code, 0) << drawn.err;
    EXPECT_THAT(drawn.err, ::testing::HasSubstr("evaluations of the network an image"));
    return read_file(file);
  };
  EXPECT_EQ(draw("7", "1"), draw("3", "2"));
}

}  // namespace
}  // namespace ddpm::testing
