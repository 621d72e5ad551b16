// `ddpm sweep` end to end: the cells against what eval and sample say, stopped and gone on with,
// wrong input.
#include <fmt/ranges.h>
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
using Json = nlohmann::json;

class SweepProgram : public TrainedRun {
 protected:
  static std::vector<std::string> sweep(const std::string& out,
                                        std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"sweep", out,          "--weights", "raw,ema", "--steps",
                                          "5,40",  "--progress", "none",      "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
};

TEST_F(SweepProgram, CellsAreWhatEvalAndSampleSay) {
  const std::string out = copy("run");
  const Finished result = run(sweep(out));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json cells = Json::parse(result.out)["cells"];
  // Two weights; ancestral: two steps, variances, clippings; ddim: two steps, clippings.
  ASSERT_EQ(cells.size(), 2 * (8 + 4u));
  EXPECT_EQ(Json::parse(read_file(out + "/sweep/sweep.json"))["cells"], cells);

  ASSERT_EQ(ddpm({"eval", out}).exit_code, 0);
  const Json metrics = Json::parse(read_file(out + "/result.json"))["metrics"];
  size_t row = 0, bounds = 0, diverged = 0;
  for (size_t i = 0; i < cells.size(); ++i) {
    const Json& cell = cells[i];
    const bool full = cell["sampler"] == "ancestral" && cell["steps"] == 40;
    EXPECT_EQ(cell["metrics"].contains("nll_test"), full);
    // After 20 steps of training some unclipped cells leave the range: they have no distances.
    EXPECT_EQ(cell["metrics"].contains("fd_digits1"), cell["status"] == "completed");
    diverged += cell["status"] == "diverged";
    if (!full || cell["weights"] != "ema") continue;
    ++bounds;
    const std::string name = "nll_test_" + cell["variance"].get<std::string>() +
                             (cell["clipping"] == "clipped" ? "" : "_unclipped");
    EXPECT_EQ(cell["metrics"]["nll_test"], metrics[name]) << name;
    // The run's own sampler.
    if (cell["variance"] == "fixed_large" && cell["clipping"] == "clipped") {
      row = i;
      for (const char* metric : {"fd_digits1", "kid_digits1", "sample_min", "sample_std"})
        EXPECT_EQ(cell["metrics"][metric], metrics[metric]) << metric;
    }
  }
  EXPECT_EQ(bounds, 4u);
  EXPECT_GT(diverged, 0u);
  EXPECT_LT(diverged, cells.size() / 2);

  ASSERT_EQ(ddpm({"figure", "samples", out, "figure.rows=1", "figure.columns=8"}).exit_code, 0);
  const Hdf5Reader samples(out + "/figures/samples.h5"), swept(out + "/sweep/sweep.h5");
  std::vector<float> shown(8 * 64);
  swept.read_rows("/images", static_cast<int64_t>(8 * row), {8, 8, 8, 1}, DType::kF32,
                  shown.data());
  EXPECT_EQ(shown, samples.read<float>("/images", {8, 8, 8, 1}));
}

TEST_F(SweepProgram, AnySamplerIsOneToCompare) {
  const std::string out = copy("run");
  const std::vector<std::string> names = {"ddim", "dpm_solver",     "dpm_solver++",       "unipc",
                                          "heun", "euler_maruyama", "predictor_corrector"};
  const Finished result = ddpm({"sweep", out, "--sampler", fmt::format("{}", fmt::join(names, ",")),
                                "--steps", "8,16", "--clip", "clipped", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json cells = Json::parse(result.out)["cells"];
  ASSERT_EQ(cells.size(), 2 * names.size());
  const std::string chart = read_file(out + "/sweep/distances.svg");
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string& name = names[i / 2];
    const int64_t steps = i % 2 == 0 ? 8 : 16;
    EXPECT_EQ(cells[i]["sampler"], name);
    EXPECT_EQ(cells[i]["variance"], "none");
    EXPECT_EQ(cells[i]["status"], "completed");
    // These come in pairs, but for the last.
    const bool in_pairs = name == "heun" || name == "predictor_corrector";
    EXPECT_EQ(cells[i]["evaluations"], in_pairs ? steps - 1 : steps);
    EXPECT_THAT(chart, HasSubstr(">" + name + "<"));
    const Finished drawn =
        ddpm({"figure", "samples", out, "figure.rows=1", "figure.columns=8",
              "sampling.sampler.name=" + name, fmt::format("sampling.sampler.steps={}", steps)});
    ASSERT_EQ(drawn.exit_code, 0) << drawn.err;
    std::vector<float> shown(8 * 64);
    Hdf5Reader(out + "/sweep/sweep.h5")
        .read_rows("/images", static_cast<int64_t>(8 * i), {8, 8, 8, 1}, DType::kF32, shown.data());
    EXPECT_EQ(shown, Hdf5Reader(out + "/figures/samples.h5").read<float>("/images", {8, 8, 8, 1}))
        << name;
  }
}

TEST_F(SweepProgram, KilledItEndsWithTheSameTable) {
  const std::string whole = copy("whole"), killed = copy("killed");
  ASSERT_EQ(run(sweep(whole)).exit_code, 0);
  const int kills = kill_until_done(sweep(killed), 5, 20'000, 120'000, 10'000);
  EXPECT_GE(kills, 3);
  for (const char* file : {"/sweep/sweep.json", "/sweep/sweep.csv", "/sweep/sweep.png"})
    EXPECT_EQ(read_file(killed + file), read_file(whole + file)) << file;
  // What is finished is not measured again.
  const Finished again = run({"sweep", whole, "--weights", "raw,ema", "--steps", "5,40"});
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_EQ(again.err, "") << "no cell was announced";
  EXPECT_THAT(again.out, HasSubstr("8 samples a cell, the same x_T in all"));
}

TEST_F(SweepProgram, CtrlCSaysWhatIsKept) {
  const std::string out = copy("run");
  Program program(sweep(out, {"--samples", "256"}));
  while (!fs::exists(out + "/sweep/cells")) usleep(1'000);
  program.signal(SIGINT);
  const Finished stopped = program.wait();
  EXPECT_EQ(stopped.exit_code, 130);
  EXPECT_THAT(stopped.err, HasSubstr("of 24 cells are kept; the same command goes on there"));
  EXPECT_FALSE(fs::exists(out + "/sweep/sweep.json"));
}

TEST_F(SweepProgram, ACellThatFailsDoesNotStopTheOthers) {
  const std::string out = copy("run");
  const std::vector<std::string> arguments = {"sweep", out,      "--sampler", "ddim",   "--steps",
                                              "5,10",  "--clip", "clipped",   "--json", "--quiet"};
  const Finished whole = ddpm(arguments);
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  const std::string broken = fs::directory_iterator(out + "/sweep/cells")->path();
  write_file(broken, "no HDF5");
  const Finished result = ddpm(arguments);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("1 of 2 cells failed; the same command tries them again"));
  const Json cells = Json::parse(result.out)["cells"], before = Json::parse(whole.out)["cells"];
  ASSERT_EQ(cells.size(), 2u);
  const size_t failed = cells[0]["status"] == "failed" ? 0 : 1;
  EXPECT_EQ(cells[failed]["status"], "failed");
  EXPECT_THAT(cells[failed]["reason"].get<std::string>(), HasSubstr(broken));
  EXPECT_EQ(cells[failed]["metrics"], Json::object());
  EXPECT_EQ(cells[1 - failed], before[1 - failed]);
  const auto pictures = Hdf5Reader(out + "/sweep/sweep.h5").read<float>("/images", {16, 8, 8, 1});
  EXPECT_EQ(pictures[failed * 8 * 64], -1) << "a row of its own, in black";
  fs::remove(broken);
  EXPECT_EQ(ddpm(arguments).out, whole.out);
}

TEST_F(SweepProgram, DivergenceIsAResultUnlessThereIsNoOther) {
  const std::string out = copy("run");
  const auto axes = [](const std::string& run, const std::string& clippings) {
    return std::vector<std::string>{"sweep",      run,           "--sampler", "ancestral",
                                    "--variance", "fixed_large", "--steps",   "40",
                                    "--weights",  "raw",         "--clip",    clippings};
  };
  const Finished both = ddpm(axes(out, "clipped,unclipped"));
  EXPECT_EQ(both.exit_code, 0) << both.err;
  EXPECT_THAT(both.out, HasSubstr("completed"));
  EXPECT_THAT(both.out, HasSubstr("diverged"));
  const Finished one = ddpm(axes(out, "unclipped"));
  EXPECT_EQ(one.exit_code, 3);
  EXPECT_THAT(one.err, HasSubstr("every cell of '" + out + "' diverged"));
  EXPECT_THAT(one.out, HasSubstr("diverged"));
}

// Of learned variances one that is interpolated between those of a step knows longer steps, too.
TEST_F(SweepProgram, ALearnedVarianceBelongsToSingleStepsUnlessItIsARange) {
  write_file(folder_ / "learned.json", R"({
    "model": {"name": "unet", "base_channels": 8, "channel_multipliers": [1, 2],
              "blocks_per_level": 1, "attention_resolutions": [4]},
    "diffusion": {"timesteps": 20},
    "training": {"steps": 2, "batch_size": 8},
    "evaluation": {"test_images": 2, "train_images": 0, "samples": 2}})");
  const auto swept = [&](const std::string& variance, const std::string& loss) {
    const std::string out = folder_ / variance;
    EXPECT_EQ(ddpm({"train", "-c", folder_ / "learned.json", "--out", out,
                    "diffusion.variance=" + variance, "diffusion.loss=" + loss})
                  .exit_code,
              0);
    const Finished result = ddpm({"sweep", out, "--variance", "model", "--steps", "5,20",
                                  "--sampler", "ancestral", "--clip", "clipped", "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out);
  };
  const Json learned = swept("learned", "variational");
  ASSERT_EQ(learned["cells"].size(), 1u);
  EXPECT_EQ(learned["cells"][0]["steps"], 20);
  ASSERT_EQ(learned["left_out"].size(), 1u);
  EXPECT_THAT(learned["left_out"][0].get<std::string>(), HasSubstr("5 steps, variance model"));
  const Json range = swept("learned_range", "hybrid");
  ASSERT_EQ(range["cells"].size(), 2u);
  EXPECT_EQ(range["cells"][0]["steps"], 5);
  EXPECT_TRUE(range["left_out"].empty());
}

TEST_F(SweepProgram, TheOptimalVarianceIsThatOfTheMeasuredErrors) {
  const std::string out = copy("run");
  ASSERT_EQ(ddpm({"eval", out, "--metrics", "nll"}).exit_code, 0);
  const Finished result = ddpm({"sweep", out, "--variance", "optimal,fixed_small", "--steps",
                                "5,40", "--sampler", "ancestral", "--clip", "clipped", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json cells = Json::parse(result.out)["cells"];
  ASSERT_EQ(cells.size(), 4u);
  EXPECT_EQ(cells[0]["variance"], "optimal");
  EXPECT_EQ(cells[0]["evaluations"], 5);
  ASSERT_EQ(ddpm({"figure", "samples", out, "figure.rows=1", "figure.columns=8",
                  "sampling.sampler.name=ddim", "sampling.sampler.steps=5",
                  "sampling.sampler.eta=1", "sampling.sampler.errors=" + out + "/likelihood.json"})
                .exit_code,
            0);
  const auto shown = Hdf5Reader(out + "/sweep/sweep.h5").read<float>("/images", {32, 8, 8, 1});
  EXPECT_EQ(std::vector<float>(shown.begin(), shown.begin() + 8 * 64),
            Hdf5Reader(out + "/figures/samples.h5").read<float>("/images", {8, 8, 8, 1}));
}

TEST_F(SweepProgram, WrongInput) {
  const std::string out = copy("run");
  const auto expect_refusal = [&](std::vector<std::string> more, const std::string& message) {
    more.insert(more.begin(), {"sweep", out});
    const Finished result = ddpm(more);
    EXPECT_EQ(result.exit_code, 2) << message;
    EXPECT_THAT(result.err, HasSubstr(message));
    EXPECT_FALSE(fs::exists(out + "/sweep")) << message;
  };
  expect_refusal({"--sampler", "ancestrl"},
                 "--sampler: unknown name 'ancestrl'; known for this run: ancestral, ddim, "
                 "dpm_solver, dpm_solver++, unipc, heun, euler_maruyama, "
                 "predictor_corrector, ode, consistency. Did you mean 'ancestral'?");
  expect_refusal({"--weights", "ema_2"}, "known for this run: raw, ema, ema_1");
  expect_refusal({"--variance", "model"}, "known for this run: fixed_small, fixed_large, optimal.");
  expect_refusal({"--variance", "optimal"},
                 "likelihood.json: no such file; 'ddpm eval RUN --metrics nll' writes it");
  expect_refusal({"--clip", "yes"}, "--clip: unknown name 'yes'");
  expect_refusal({"--steps", "41"}, "--steps: 41 of a process that has 40");
  expect_refusal({"--steps", "5,x"}, "--steps");
  expect_refusal({"--samples", "0"}, "--samples N with N of 2 or more is needed");
}

}  // namespace
}  // namespace ddpm::testing
