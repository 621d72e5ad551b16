#include "tests/experiments/report/fake_study.h"

#include <fmt/format.h>
#include <png.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "framework/io/file.h"

namespace ddpm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void write(const fs::path& path, const Json& json) {
  write_file_atomically(path.string(), json.dump(2));
}

// 4 x 4 tiles of 8 x 8 blobs.
void write_grid(const fs::path& path, int seed) {
  constexpr int kSide = 32;
  std::vector<uint8_t> pixels;
  for (int y = 0; y < kSide; ++y)
    for (int x = 0; x < kSide; ++x) {
      const double cx = x % 8 - 3.5 + std::sin(seed + x / 8), cy = y % 8 - 3.5 + std::cos(y / 8);
      pixels.push_back(static_cast<uint8_t>(255 * std::exp(-(cx * cx + cy * cy) / 5)));
    }
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = image.height = kSide;
  image.format = PNG_FORMAT_GRAY;
  png_image_write_to_file(&image, path.c_str(), 0, pixels.data(), 0, nullptr);
}

Json config_of(const std::string& schedule, int seed) {
  return {{"name", "fake"},
          {"seed", seed},
          {"data", {{"name", "digits"}, {"holdout", 297}}},
          {"model", {{"name", "unet"}, {"base_channels", 32}, {"channel_multipliers", {1, 2}}}},
          {"diffusion", {{"timesteps", 200}, {"schedule", {{"name", schedule}}}}},
          {"training", {{"steps", 2000}, {"batch_size", 64}}}};
}

Json likelihood_of(double quality) {
  constexpr int kSteps = 200;
  Json terms = Json::array(), rmse = Json::array();
  double rate = 0;
  for (int t = 0; t < kSteps; ++t) {
    const double term = t == 0 ? 1.9 * quality : 0.6 * quality * std::pow(t, -1.4);
    terms.push_back(term);
    if (t > 0) rate += term;
    rmse.push_back(1 + 70 * std::sqrt(t / double{kSteps}));
  }
  const Json bound = {{"variance", "fixed_small"},   {"total", rate + 1.9 * quality},
                      {"total_se", 0.0123},          {"rate", rate},
                      {"distortion", 1.9 * quality}, {"terms", terms}};
  return {{"schema", "ddpm.likelihood/1"},
          {"split", {{"test", {{"bounds", {bound}}, {"prior", 7e-6}, {"rmse", rmse}}}}}};
}

void write_run(const fs::path& folder, const std::string& variant, const std::string& schedule,
               int seed, double quality, bool diverges, const std::string& note) {
  fs::create_directories(folder / "samples");
  const Json config = config_of(schedule, seed);
  write(folder / "config.json", config);
  write(folder / "run.json", {{"schema", "ddpm.run/1"}, {"argv", {"ddpm", "ablate", "fake"}}});
  const int last = diverges ? 700 : 2000;
  for (int step = 20; step <= last; step += 20) {
    const double noise = 0.01 * std::sin(step * 0.37 + seed);
    const double loss =
        quality * (0.03 + std::exp(-step / 150.0)) + noise * std::exp(-step / 900.0);
    append_line((folder / "metrics.jsonl").string(),
                Json{{"step", step},
                     {"loss", diverges ? std::abs(loss) * std::exp(step / 150.0) : std::abs(loss)},
                     {"grad_norm", 0.4 * quality + std::abs(noise)},
                     {"learning_rate", 2e-4 * std::min(1.0, step / 500.0)},
                     {"images_per_second", 800 + 30 * noise},
                     {"seconds", step * 0.08}}
                    .dump());
  }
  Json result = {{"schema", "ddpm.result/1"},
                 {"run_id", fmt::format("20261122T071500Z-{:06x}", seed + 77)},
                 {"study", "fake"},
                 {"variant", variant},
                 {"seed", seed},
                 {"status", diverges ? "diverged" : "completed"}};
  if (diverges) {
    result["reason"] = "the gradient of step 707 is not finite";
    result["diverged_at_step"] = 707;
  }
  result["config"] = config;
  result["git"] = {{"describe", "v0.1.0-12-gabc1234"}, {"commit", "abc1234"}, {"dirty", false}};
  result["host"] = {{"hostname", "node"}, {"os", "Debian 12"}, {"cpu", "a CPU"}, {"threads", 2}};
  result["device"] = {{"kind", "cpu"}};
  result["build"] = {{"version", "0.1.0"}, {"compiler", "GNU 12.2.0"}, {"flags", "Release"}};
  result["dataset"] = {
      {"name", "digits"}, {"split", "train"}, {"n", 1500}, {"sha256", "c59f468a"}, {"note", note}};
  result["metrics"] = {{"loss_final", 0.03 * quality}};
  if (!diverges) {
    result["metrics"]["nll_test"] = 3.7 * quality + 0.01 * seed;
    result["metrics"]["fd_digits1"] = 12.3 * quality + 0.4 * seed;
    write(folder / "likelihood.json", likelihood_of(quality));
  }
  result["metric_info"] = {{"fd_digits1",
                            {{"n_gen", 1500},
                             {"n_ref", 1500},
                             {"extractor", "digits1"},
                             {"weights_sha256", "0123abcd"},
                             {"better", "lower"}}},
                           {"nll_test", {{"unit", "bits/dim"}, {"better", "lower"}}}};
  result["timing"] = {{"train_s", 160.4}};
  write(folder / "result.json", result);
  write_grid(folder / "samples/step_00001000.png", seed);
  write_grid(folder / "samples/step_00002000.png", seed + 1);
}

}  // namespace

FakeStudy::FakeStudy(bool hostile)
    : folder((fs::temp_directory_path() / fmt::format("ddpm_fake_study_{}", getpid())).string()) {
  fs::remove_all(folder);
  const std::string worst = hostile ? kHostileText : "worst";
  const std::string note = hostile ? kHostileText : "8x8 digits: not comparable with CIFAR-10";
  struct Variant {
    std::string name, label, schedule;
    double quality;
    bool diverges;
  };
  const Variant variants[] = {{"linear", "linear schedule", "linear", 1.0, false},
                              {"cosine", "cosine schedule", "cosine", 0.8, false},
                              {worst, worst, "constant", 1.9, true}};
  Json study = {{"name", "fake"}, {"title", hostile ? kHostileText : "Noise schedules on digits"}};
  study["seeds"] = {0, 1};
  int number = 0;
  for (const Variant& v : variants) {
    Json paper = Json::object();
    if (!v.diverges) paper = {{"FID", v.quality > 0.9 ? 3.17 : 2.9}, {"IS", "9.46"}};
    study["variants"].push_back(
        {{"name", v.name}, {"label", v.label}, {"set", Json::array()}, {"paper", paper}});
    for (int seed = 0; seed < 2; ++seed, ++number)
      write_run(fs::path(folder) / fmt::format("runs/{:05}-v-s{}", number, seed), v.name,
                v.schedule, seed, v.quality, v.diverges && seed == 1, note);
  }
  study["columns"] = {"nll_test", "fd_digits1"};
  write(fs::path(folder) / "study.json", study);
}

FakeStudy::~FakeStudy() { fs::remove_all(folder); }

}  // namespace ddpm
