// What ships under experiments/: every study and configuration can be run by whoever has the data,
// is the network and the recipe that its paper used, and carries that paper's numbers.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "experiments/runner/experiment_config.h"
#include "experiments/runner/study.h"
#include "experiments/runner/study_file.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* kExperiments = DDPM_SOURCE_DIR "/experiments";

std::vector<fs::path> files_of(const char* folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(fs::path(kExperiments) / folder))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// (H, W, C) of the images of a resolved configuration, whose data may not be on this machine.
Shape image_shape(const Json& data) {
  static const std::map<std::string, Shape> stored = {
      {"digits", {8, 8, 1}}, {"fashion-mnist", {28, 28, 1}}, {"cifar10", {32, 32, 3}}};
  const Json size = data["size"];
  if (data["name"] == "image_folder") return {size, size, data["channels"]};
  const Shape shape = stored.at(data["name"]);
  return size.is_null() ? shape : Shape{size, size, shape[2]};
}

// Parameters of the network; builds the process as well, which refuses schedules that the
// parameterization cannot use.
int64_t build(const Json& resolved) {
  const Config config(ConfigSource::parse_text(resolved.dump(2), "shipped"));
  ExperimentConfig experiment(config);
  config.finish();
  const Shape image = image_shape(resolved["data"]);
  const GaussianDiffusion process(std::move(experiment.diffusion), 256, DType::kF32, Device::kCpu);
  Parameters parameters;
  experiment.model->build(Scope(parameters),
                          {image[0], image[1], image[2], process.output_channels(image[2])});
  return parameters.count();
}

// The cells of a study by variant.
std::map<std::string, Json> cells(const std::string& study) {
  std::map<std::string, Json> configs;
  StudyRequest request;
  request.file = fmt::format("{}/studies/{}.json", kExperiments, study);
  const Json plan = plan_study(request);
  for (const Json& cell : plan["cells"]) configs.emplace(cell["variant"], cell["config"]);
  return configs;
}

TEST(ShippedStudies, EveryCellCanBeBuilt) {
  const std::vector<fs::path> files = files_of("studies");
  EXPECT_GE(files.size(), 11u);
  for (const fs::path& file : files) {
    SCOPED_TRACE(file);
    EXPECT_EQ(StudyFile::read(file).name, file.stem())
        << "ddpm list shows the one, runs/ the other";
    const auto configs = cells(file.stem());
    EXPECT_FALSE(configs.empty());
    for (const auto& [variant, config] : configs) {
      SCOPED_TRACE(variant);
      EXPECT_GT(build(config), 0);
    }
  }
}

TEST(ShippedConfigs, CanBeBuilt) {
  for (const fs::path& file : files_of("configs")) {
    SCOPED_TRACE(file);
    const Config config(ConfigSource::parse_file(file));
    const ExperimentConfig experiment(config);
    config.finish();
    const int64_t count = build(config.resolved());
    if (file.stem() == "cifar10") {
      EXPECT_EQ(count, 35'746'307);
    }
  }
}

TEST(ShippedStudies, OfCifar10AreThePapersNetworkAndRecipe) {
  for (const char* study :
       {"table2_cifar10", "table2_cifar10_50k", "dropout_cifar10", "schedules_cifar10"})
    for (const auto& [variant, config] : cells(study)) {
      SCOPED_TRACE(study + (" " + variant));
      const bool learned = config["diffusion"]["variance"]["name"] == "learned";
      EXPECT_EQ(build(config), learned ? 35'749'766 : 35'746'307);
      EXPECT_EQ(config["data"]["flip"], true);
      EXPECT_EQ(config["diffusion"]["timesteps"], 1000);
      EXPECT_EQ(config["optimizer"]["learning_rate"], 2e-4);
      EXPECT_EQ(config["optimizer"]["warmup_steps"], 5000);
      EXPECT_EQ(config["ema"]["decay"], Json({0.9999}));
      EXPECT_EQ(config["ema"]["warmup"], false);
      EXPECT_EQ(config["training"]["batch_size"], 128);
      EXPECT_EQ(config["training"]["steps"],
                std::string(study) == "table2_cifar10_50k" ? 50'000 : 800'000);
      if (std::string(study) != "dropout_cifar10") {
        EXPECT_EQ(config["model"]["dropout"], 0.1);
      }
    }
}

TEST(ShippedStudies, OfLargeImagesAreThePapersNetworksAndRecipe) {
  const std::map<std::string, int64_t> steps = {{"bedroom", 2'400'000},
                                                {"bedroom-large", 1'150'000},
                                                {"church", 1'200'000},
                                                {"cat", 1'800'000},
                                                {"celeba-hq", 500'000}};
  const auto configs = cells("table3_256");
  ASSERT_EQ(configs.size(), steps.size());
  for (const auto& [variant, config] : configs) {
    SCOPED_TRACE(variant);
    EXPECT_EQ(build(config), variant == "bedroom-large" ? 255'677'955 : 113'673'219);
    EXPECT_EQ(config["training"]["steps"], steps.at(variant));
    EXPECT_EQ(config["training"]["batch_size"], 64);
    EXPECT_EQ(config["optimizer"]["learning_rate"], 2e-5);
    EXPECT_EQ(config["optimizer"]["warmup_steps"], 5000);
    EXPECT_EQ(config["ema"]["decay"], Json({0.9999}));
    EXPECT_EQ(config["model"]["dropout"], 0);
    EXPECT_EQ(config["data"]["flip"], !variant.starts_with("bedroom"));
  }
}

// log alpha_bar_T = sum log(1 - beta) is minus the sum of betas but for their squares, so that x_T
// keeps as much of x_0 for every T.
TEST(ShippedStudies, TimestepsSpendTheSameNoise) {
  const auto configs = cells("timesteps_fashion16");
  EXPECT_GE(configs.size(), 6u);
  for (const auto& [variant, config] : configs) {
    const Config reader(ConfigSource::parse_text(config.dump(), "shipped"));
    const ExperimentConfig experiment(reader);
    const int timesteps = experiment.diffusion.timesteps;
    const std::vector<double> betas = experiment.diffusion.schedule->betas(timesteps);
    EXPECT_EQ(variant, fmt::format("timesteps={}", timesteps));
    EXPECT_NEAR(std::accumulate(betas.begin(), betas.end(), 0.0), 10.05, 1e-9) << variant;
  }
}

TEST(ShippedStudies, OfSamplersTrainOnceAndSpendWhatTheirNamesSay) {
  const auto configs = cells("samplers_fashion16");
  EXPECT_GE(configs.size(), 40u);
  Json training;
  for (const auto& [variant, config] : configs) {
    const Config reader(ConfigSource::parse_text(config.dump(), "shipped"));
    ExperimentConfig experiment(reader);
    const GaussianDiffusion process(std::move(experiment.diffusion), 256, DType::kF32,
                                    Device::kCpu);
    const int64_t named = std::stoll(variant.substr(variant.rfind('-') + 1));
    const auto evaluations = static_cast<int64_t>(experiment.sampler->visits(process).size());
    const bool repeats = config["sampling"]["sampler"].value("stride", "") == "quadratic";
    EXPECT_LE(evaluations, named) << variant;
    EXPECT_GE(evaluations, repeats ? named * 96 / 100 : named) << variant;
    Json rest = config;
    rest.erase("sampling");
    if (training.is_null()) training = rest;
    EXPECT_EQ(rest, training) << variant;
  }
}

// A paper's number stands in several files; a slip of the pen in one of them shows here.
TEST(ShippedStudies, AgreeOnThePapersNumbers) {
  std::map<std::string, std::set<std::string>> rows, variants;
  for (const fs::path& file : files_of("studies")) {
    const StudyFile study = StudyFile::read(file);
    for (const Json& table : study.tables)
      for (const Json& row : table["rows"])
        rows[fmt::format("{} / {}", table["title"].get<std::string>(),
                         table.contains("columns") ? row["label"].dump() : row["steps"].dump())]
            .insert(table.contains("columns") ? row["paper"].dump() : row.dump());
    if (study.name.starts_with("table2"))
      for (const StudyVariant& variant : study.variants)
        variants[variant.name].insert(variant.paper.dump());
  }
  // Tables 1, 2, 4 and 3; DDIM's table 1, and DPM-Solver's numbers.
  EXPECT_EQ(rows.size(), 12u + 6 + 10 + 12 + 25 + 24);
  for (const auto& [row, numbers] : rows)
    EXPECT_EQ(numbers.size(), 1u) << row << ": " << fmt::format("{}", fmt::join(numbers, " or "));
  for (const auto& [variant, numbers] : variants) EXPECT_EQ(numbers.size(), 1u) << variant;
  EXPECT_THAT(variants["eps-simple"], ::testing::ElementsAre(R"({"IS":"9.46","FID":"3.17"})"));
}

}  // namespace
}  // namespace ddpm
