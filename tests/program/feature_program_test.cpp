// Samples scored and exported end to end: with Inception's weights of the goldens, from reference
// images and from a file; stopped and gone on with; for other programs.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "framework/io/npy.h"
#include "framework/io/safetensors.h"
#include "tests/experiments/metrics/inception_golden.h"
#include "tests/program/trained_run.h"

namespace ddpm::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;
namespace fs = std::filesystem;

std::vector<std::string> eval(const std::string& out, std::vector<std::string> more = {}) {
  std::vector<std::string> words = {"eval", out, "--metrics", "samples", "--progress", "none"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Json result_of(const std::string& out) { return Json::parse(read_file(out + "/result.json")); }

class FeatureProgram : public TrainedRun {
 protected:
  static void SetUpTestSuite() {
    TrainedRun::SetUpTestSuite();
    write_safetensors(weights(), golden_inception_weights().all());
    // Of few images, for Inception.
    std::string few = kTinyRun;
    few.replace(few.find("\"digits\""), 8, R"({"name": "digits", "limit": 16})");
    write_file(*shared_ / "few.json", few);
    const Finished trained =
        ddpm({"train", "-c", *shared_ / "few.json", "--out", *shared_ / "few"});
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
  }
  static std::string weights() { return *shared_ / "inception.safetensors"; }

  // Interrupts the program, later and later, until it said `saved` so many times or is done; then
  // it may go on to its end.
  static void interrupt(const std::vector<std::string>& arguments, int times, const char* saved) {
    int count = 0;
    for (useconds_t attempt = 0; attempt < 200 && count < times; ++attempt) {
      Program program(arguments);
      usleep(300'000 + 50'000 * attempt);
      program.signal(SIGINT);
      const Finished result = program.wait();
      if (result.exit_code == 0) break;
      ASSERT_TRUE(result.exit_code == 130 || result.exit_code == 128 + SIGINT) << result.err;
      count += result.err.find(saved) != std::string::npos;
    }
    EXPECT_GE(count, 1);
    const Finished last = run(arguments);
    EXPECT_EQ(last.exit_code, 0) << last.err;
  }
};

TEST_F(FeatureProgram, InceptionScoresSamplesAndKeepsTheReference) {
  const std::string out = *shared_ / "few";
  const auto score = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"evaluation.samples=12", "--inception", weights()});
    return run(eval(out, more));
  };
  const Finished first = score({});
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("N = 12, against 16 images of train"));
  const Json result = result_of(out);
  for (const char* metric : {"fid[tf]", "sfid[tf]", "is[tf]", "kid[tf]", "precision[tf]",
                             "recall[tf]", "fd_digits1", "kid_digits1", "precision_digits1"})
    EXPECT_TRUE(result["metrics"][metric].is_number()) << metric;
  EXPECT_THAT(std::string(result["metric_info"]["fid_inf[tf]"]["missing"]),
              HasSubstr("12 samples are too few"));
  EXPECT_EQ(result["metric_info"]["fid[tf]"]["resize"], "tf");

  // The archive that was left gives the same numbers, and its space is checked.
  ASSERT_EQ(std::distance(fs::directory_iterator(out + "/features"), {}), 1);
  const std::string file = fs::directory_iterator(out + "/features")->path();
  ASSERT_EQ(score({"--statistics", file}).exit_code, 0);
  for (const char* metric : {"fid[tf]", "sfid[tf]", "kid[tf]", "recall[tf]"})
    EXPECT_EQ(result_of(out)["metrics"][metric], result["metrics"][metric]) << metric;
  const std::string before = read_file(out + "/result.json");
  const Finished other = score({"--statistics", file, "--resize", "clean"});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("feature space 'inception tf"));
  EXPECT_EQ(read_file(out + "/result.json"), before);
}

TEST_F(FeatureProgram, WrongFilesAreRefusedBeforeAnythingIsDrawn) {
  const std::string out = copy("refused"), before = read_file(out + "/result.json");
  const auto error = [&](const std::vector<std::string>& words) {
    const Finished result = run(eval(out, words));
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(read_file(out + "/result.json"), before);
    return result.err;
  };
  EXPECT_THAT(error({"--inception", out + "/none.pth"}), HasSubstr("none.pth"));
  EXPECT_THAT(error({"--statistics", "ref.npz"}),
              HasSubstr("evaluation.inception_weights names no network"));
  EXPECT_THAT(error({"--resize", "claen"}), HasSubstr("Did you mean 'clean'?"));
  EXPECT_THAT(error({"evaluation.samples=1"}), HasSubstr("at least 2 samples"));
}

TEST_F(FeatureProgram, NumbersOfAnEarlierEvaluationDoNotStayBesideWhatIsMissing) {
  const std::string out = copy("earlier");
  ASSERT_EQ(run(eval(out, {"evaluation.samples=8"})).exit_code, 0);
  ASSERT_TRUE(result_of(out)["metrics"].contains("recall_digits1"));
  const Finished few = run(eval(out, {"evaluation.samples=3"}));
  ASSERT_EQ(few.exit_code, 0) << few.err;
  const Json result = result_of(out);
  for (const char* metric : {"precision_digits1", "recall_digits1"}) {
    EXPECT_FALSE(result["metrics"].contains(metric)) << metric;
    EXPECT_THAT(std::string(result["metric_info"][metric]["missing"]),
                HasSubstr("3 samples and 1500 reference images"));
  }
  EXPECT_EQ(result["metric_info"]["fd_digits1"]["n_gen"], 3);
}

TEST_F(FeatureProgram, SamplesThatWereStoppedEndWithTheSameNumbers) {
  const std::string whole = copy("whole"), stopped = copy("stopped");
  const std::vector<std::string> many = {
      "evaluation.samples=1200"};  // of 128 features: a limit, too
  ASSERT_EQ(run(eval(whole, many)).exit_code, 0);
  interrupt(eval(stopped, many), 5,
            "of 1200 samples are measured and saved; the same command goes on there");
  EXPECT_EQ(result_of(stopped)["metrics"], result_of(whole)["metrics"]);
  EXPECT_TRUE(result_of(whole)["metrics"]["fd_inf_digits1"].is_number());
  EXPECT_TRUE(fs::is_empty(stopped + "/features"));
}

TEST_F(FeatureProgram, StoppedBeforeTheFirstSamplesItSaysSo) {
  const std::string out = copy("first");
  interrupt(eval(out, {"evaluation.samples=600", "sampling.batch_size=600"}), 1,
            "stopped before the first samples; the same command begins with them");
  EXPECT_FALSE(fs::exists(out + "/features"));
}

TEST_F(FeatureProgram, ReferenceFeaturesThatWereStoppedEndWithTheSameNumbers) {
  const std::string whole = folder_ / "whole", stopped = folder_ / "stopped";
  for (const std::string& out : {whole, stopped}) {
    fs::copy(*shared_ / "few", out, fs::copy_options::recursive);
    fs::remove_all(out + "/features");
  }
  const auto score = [](const std::string& out) {
    return eval(out, {"evaluation.samples=4", "evaluation.batch_size=2", "--inception", weights()});
  };
  ASSERT_EQ(run(score(whole)).exit_code, 0);
  interrupt(score(stopped), 1, "of 16 train images are saved; the same command goes on there");
  EXPECT_EQ(result_of(stopped)["metrics"], result_of(whole)["metrics"]);
  const fs::path kept = fs::directory_iterator(whole + "/features")->path();
  EXPECT_EQ(read_file(stopped + "/features/" + kept.filename().string()), read_file(kept));
}

TEST_F(FeatureProgram, QualityInInceptionsSpaceHasAScore) {
  const std::string out = *shared_ / "few", inception = "evaluation.inception_weights=" + weights();
  ASSERT_EQ(
      ddpm({"figure", "progressive_quality", out, "figure.images=12", "figure.points=2", inception})
          .exit_code,
      0);
  ASSERT_EQ(run(eval(out, {"evaluation.samples=12", inception})).exit_code, 0);
  const Json metrics = result_of(out)["metrics"];
  const std::string csv = read_file(out + "/figures/progressive_quality.csv");
  for (const char* metric : {"fd_digits1", "fid[tf]", "is[tf]"}) {
    EXPECT_THAT(csv, HasSubstr(fmt::format("\n1,40,{},", metric)));
    const std::string last = fmt::format("\n40,1,{},", metric);
    ASSERT_THAT(csv, HasSubstr(last));
    const double value = std::stod(csv.substr(csv.find(last) + last.size()));
    // The last estimates are the samples up to rounding, which few pixels show.
    EXPECT_NEAR(value, metrics[metric], 1e-3 * value) << metric;
  }
  EXPECT_THAT(read_file(out + "/figures/progressive_quality.svg"),
              HasSubstr("In digits1 against 16 images. In tf against 16 images."));
}

TEST_F(FeatureProgram, QualityThatWasStoppedEndsWithTheSameNumbers) {
  const std::string whole = copy("whole"), stopped = copy("stopped");
  const auto figure = [](const std::string& out) {
    return std::vector<std::string>{
        "figure",          "progressive_quality", out,   "figure.images=600",
        "figure.points=4", "--progress",          "none"};
  };
  ASSERT_EQ(run(figure(whole)).exit_code, 0);
  interrupt(figure(stopped), 3,
            "of 600 samples are saved; the same command goes on there; no figure was written");
  EXPECT_EQ(read_file(stopped + "/figures/progressive_quality.csv"),
            read_file(whole + "/figures/progressive_quality.csv"));
  EXPECT_TRUE(fs::is_empty(stopped + "/features"));
}

TEST_F(FeatureProgram, SamplesAreExportedForOtherPrograms) {
  const std::string out = copy("export"), archive = out + "/samples.npz";
  ASSERT_EQ(run({"sample", out, "--out", archive, "--count", "10"}).exit_code, 0);
  const NamedTensors npz = read_npz(archive);
  const Tensor& all = npz.at("arr_0", {10, 8, 8, 1}, DType::kU8);
  // The same images, whatever the batches.
  ASSERT_EQ(
      run({"sample", out, "--out", out + "/again.npz", "--count", "10", "sampling.batch_size=3"})
          .exit_code,
      0);
  EXPECT_EQ(read_npz(out + "/again.npz").at("arr_0").to_host<uint8_t>(), all.to_host<uint8_t>());
  EXPECT_EQ(read_file(out + "/again.npz"), read_file(archive));
  // Grey levels are those of pictures: 0 .. 255 in steps of 255 / 16.
  for (const uint8_t p : all.to_host<uint8_t>())
    EXPECT_EQ(p, ((p * 16 + 127) / 255 * 255 + 8) / 16);
  const Finished folder = run({"sample", out, "--out", out + "/png", "--count", "10"});
  ASSERT_EQ(folder.exit_code, 0);
  EXPECT_TRUE(fs::exists(out + "/png/000009.png"));
}

}  // namespace
}  // namespace ddpm::testing
