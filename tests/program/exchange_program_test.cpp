// `ddpm export` and `ddpm import` end to end: there and back bit for bit, and refusals that leave
// everything as it was.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "framework/io/hdf5_file.h"
#include "framework/io/safetensors.h"
#include "tests/program/trained_run.h"

namespace ddpm::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

const std::string kGolden = DDPM_TEST_DATA "/unet2d";
constexpr const char* kWeights = "/diffusion_pytorch_model.safetensors";

// The values of one group of a checkpoint.
std::vector<float> values_of(const std::string& file, const std::string& group) {
  const Hdf5Reader reader(file);
  std::vector<float> all;
  for (const std::string& path : reader.arrays(group)) {
    const std::vector<float> values = reader.read<float>(path, reader.info(path).shape);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

// Equal in name, order, shape and bits.
void expect_same_tensors(const std::string& a, const std::string& b) {
  const NamedTensors left = read_safetensors(a), right = read_safetensors(b);
  ASSERT_EQ(left.all().size(), right.all().size());
  for (const auto& [name, values] : left.all()) {
    const Tensor& other = right.at(name, values.shape(), DType::kF32);
    EXPECT_EQ(std::memcmp(values.raw(), other.raw(), values.bytes()), 0) << name;
  }
}

class ExchangeProgram : public TrainedRun {
 protected:
  // The same run with norms that diffusers can express.
  static void SetUpTestSuite() {
    TrainedRun::SetUpTestSuite();
    const Finished trained = ddpm(
        {"train", "-c", *shared_ / "tiny.json", "--out", *shared_ / "even", "model.norm_groups=2"});
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
  }
  static std::string even() { return *shared_ / "even"; }
  static std::string tiny() { return *shared_ / "tiny.json"; }
  static Finished exchange(std::vector<std::string> arguments) { return run(arguments); }
};

TEST_F(ExchangeProgram, ThereAndBackBitForBit) {
  const std::string last = "/checkpoints/step_00000020.h5", first = "/checkpoints/step_00000000.h5";
  const std::pair<const char*, const char*> kSets[] = {
      {"ema", "/ema/0.9"}, {"ema_1", "/ema/0.99"}, {"raw", "/params"}};
  for (const auto& [weights, group] : kSets) {
    const std::string out = folder_ / std::string("export-") + weights, back = out + "-run";
    const Finished exported = exchange({"export", even(), out, "--weights", weights});
    ASSERT_EQ(exported.exit_code, 0) << exported.err;
    EXPECT_THAT(exported.out, HasSubstr(std::string(" parameters, ") + weights));
    const Finished imported = exchange({"import", out, back, "-c", tiny()});
    ASSERT_EQ(imported.exit_code, 0) << imported.err;
    EXPECT_THAT(imported.out, HasSubstr(weights));
    for (const char* target : {"/params", "/ema/0.9", "/ema/0.99"})
      EXPECT_EQ(values_of(back + first, target), values_of(even() + last, group)) << target;
    const std::string again = out + "-again";
    ASSERT_EQ(exchange({"export", back, again + kWeights}).exit_code, 0);
    expect_same_tensors(out + kWeights, again + kWeights);
    EXPECT_EQ(read_file(out + "/config.json"), read_file(again + "/config.json"));
  }
  const auto metadata = read_safetensors(folder_ / "export-ema" + kWeights).metadata;
  EXPECT_EQ(metadata.at("format"), "pt");
  EXPECT_EQ(metadata.at("weights"), "ema, decay 0.9");
  EXPECT_EQ(metadata.at("step"), "20");
  EXPECT_NE(values_of(even() + last, "/ema/0.9"), values_of(even() + last, "/params"));

  const auto draw = [&](const std::string& run, const std::string& png) {
    ASSERT_EQ(ddpm({"sample", run, "--out", folder_ / png}).exit_code, 0);
  };
  draw(even(), "a.png");
  draw(folder_ / "export-ema-run", "b.png");
  EXPECT_EQ(read_file(folder_ / "a.png"), read_file(folder_ / "b.png"));
}

TEST_F(ExchangeProgram, ANetworkOfDiffusersIsARunLikeAnyOther) {
  for (const std::string& file : {kGolden, kGolden + "/legacy.bin"}) {
    const std::string out = folder_ / fs::path(file).filename();
    const Finished imported =
        exchange({"import", file, out, "data=digits", "diffusion.timesteps=20",
                  "evaluation.test_images=4", "evaluation.train_images=0", "sampling.count=2"});
    ASSERT_EQ(imported.exit_code, 0) << imported.err;
    const Json json = Json::parse(read_file(out + "/run.json"))["imported"];
    EXPECT_THAT(json["file"].get<std::string>(), HasSubstr("unet2d"));
    EXPECT_EQ(ddpm({"sample", out}).exit_code, 0);
    const Finished measured = ddpm({"eval", out});
    EXPECT_EQ(measured.exit_code, 0) << measured.err;
    EXPECT_THAT(measured.out, HasSubstr("nll_test"));
    ASSERT_EQ(exchange({"export", out, out + "-export"}).exit_code, 0);
    expect_same_tensors(kGolden + kWeights, out + "-export" + kWeights);
    const Finished trained =
        ddpm({"train", "--resume=" + out, "training.steps=2", "training.batch_size=128"});
    EXPECT_EQ(trained.exit_code, 0) << trained.err;
    EXPECT_TRUE(fs::exists(out + "/checkpoints/step_00000002.h5"));
  }
}

TEST_F(ExchangeProgram, WithoutAConfigJsonTheNetworkIsTheConfigurations) {
  fs::create_directories(folder_ / "bare");
  const std::string file = folder_ / "bare/w.safetensors", out = folder_ / "run";
  fs::copy_file(kGolden + kWeights, file);
  const std::vector<std::string> import = {"import",
                                           file,
                                           out,
                                           "data=digits",
                                           "model.base_channels=4",
                                           "model.channel_multipliers=[1,2,2]",
                                           "model.blocks_per_level=1",
                                           "model.norm_groups=2",
                                           "model.attention_heads=2"};
  auto right = import;
  right.push_back("model.attention_resolutions=[4]");
  const Finished wrong = exchange(import);
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err,
              HasSubstr("'down_blocks.1.attentions.0.group_norm.bias' (8) has no place"));
  EXPECT_FALSE(fs::exists(out));
  const Finished imported = exchange(right);
  ASSERT_EQ(imported.exit_code, 0) << imported.err;
  EXPECT_THAT(imported.err, HasSubstr("there is no config.json"));
}

TEST_F(ExchangeProgram, ARunOfAnOlderProgramLacksTheNewerKeys) {
  const std::string out = copy("old");
  Json config = Json::parse(read_file(out + "/config.json"));
  config["model"].erase("norm_groups");
  write_file(out + "/config.json", config.dump(2));
  const Finished sampled = ddpm({"sample", out, "--out", folder_ / "x.png"});
  EXPECT_EQ(sampled.exit_code, 0) << sampled.err;
  const Finished resumed = ddpm({"train", "--resume=" + out, "training.steps=21"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
}

TEST_F(ExchangeProgram, RefusedExportsWriteNothing) {
  const auto expect_refusal = [&](std::vector<std::string> arguments, const std::string& message) {
    arguments.insert(arguments.begin(), "export");
    const Finished result = exchange(arguments);
    EXPECT_EQ(result.exit_code, 2) << message;
    EXPECT_THAT(result.err, HasSubstr(message));
  };
  const std::string run = copy("run"), out = folder_ / "out";
  expect_refusal({run, out},
                 "here 'down_0/block_0/norm_1/weight' (8) has 2 and 'down_1/block_0/norm_2/weight' "
                 "(16) has 4. A network trained with model.norm_groups=2 can be exported");
  expect_refusal({even(), out, "--weights", "ema_2"},
                 "'sampling.weights' must be one of raw, ema, ema_1, found \"ema_2\"");
  expect_refusal({even(), out + ".pth"}, "weights are written as safetensors");
  expect_refusal({even(), tiny() + "/out"}, "tiny.json/out: cannot create the folder");
  EXPECT_FALSE(fs::exists(out));
  // A run's folder has a config.json of its own.
  const std::string config = read_file(run + "/config.json");
  expect_refusal({even(), run}, "/config.json: exists; --overwrite replaces it");
  expect_refusal({even(), run, "--overwrite"}, "is not a file of diffusers");
  EXPECT_EQ(read_file(run + "/config.json"), config);
  EXPECT_FALSE(fs::exists(run + kWeights));
  ASSERT_EQ(exchange({"export", even(), out}).exit_code, 0);
  expect_refusal({even(), out}, "exists; --overwrite replaces it");
  EXPECT_EQ(exchange({"export", even(), out, "--overwrite"}).exit_code, 0);
}

TEST_F(ExchangeProgram, RefusedImportsWriteNothing) {
  const std::string out = folder_ / "out";
  const auto expect_refusal = [&](std::vector<std::string> arguments, const std::string& message) {
    arguments.insert(arguments.begin(), {"import"});
    const Finished result = exchange(arguments);
    EXPECT_EQ(result.exit_code, 2) << message;
    EXPECT_THAT(result.err, HasSubstr(message));
    EXPECT_FALSE(fs::exists(out)) << message;
  };
  expect_refusal({kGolden, out, "data=digits", "data.size=16", "data.resize=pad"},
                 "the network is for images of shape (8, 8, 1), those of data 'digits' have "
                 "(16, 16, 1)");
  expect_refusal({kGolden, out, "data=digits", "model.base_channels=8"},
                 "'model.base_channels' is 8 in the configuration, but 4 in");
  expect_refusal({kGolden, out, "data=digits", "model=mlp"}, "'model.name' is \"mlp\"");
  expect_refusal(
      {kGolden, out, "data=digits", "diffusion.variance=learned_range", "diffusion.loss=hybrid"},
      "'conv_out.weight' has shape (1, 4, 3, 3), this network's 'conv_out/weight' needs "
      "(2, 4, 3, 3)");
  expect_refusal({folder_ / "none", out, "data=digits"}, "none");
  expect_refusal({folder_.path(), out, "data=digits"},
                 "holds neither diffusion_pytorch_model.safetensors nor");
  expect_refusal({even() + "/checkpoints/step_00000020.h5", out, "data=digits"},
                 "step_00000020.h5' is none of the files of tensors that are read");
  fs::create_directories(folder_ / "torn");
  fs::copy_file(kGolden + "/config.json", folder_ / "torn/config.json");
  const std::string torn = folder_ / "torn" + kWeights;
  write_file(torn, read_file(kGolden + kWeights).substr(0, 50000));
  expect_refusal({folder_ / "torn", out, "data=digits"}, torn);
  const std::string taken = copy("taken");
  const Finished refused = exchange({"import", kGolden, taken, "data=digits"});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("the folder is not empty; train --resume continues the run"));
  EXPECT_TRUE(fs::exists(taken + "/checkpoints/step_00000020.h5"));
  // Nor is the model itself taken for a run that may be overwritten.
  const std::string theirs = folder_ / "theirs", config = theirs + "/config.json";
  fs::copy(kGolden, theirs);
  const Finished same = exchange({"import", theirs, theirs, "data=digits", "--overwrite"});
  EXPECT_EQ(same.exit_code, 2);
  EXPECT_THAT(same.err, HasSubstr("the folder is not empty; choose another one"));
  EXPECT_EQ(read_file(config), read_file(kGolden + "/config.json"));
}

}  // namespace
}  // namespace ddpm::testing
