// The program from its arguments to its exit code and its two streams.
#include "experiments/cli/app.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "diffusion/registry.h"
#include "experiments/cli/command_line.h"
#include "framework/core/memory.h"

namespace ddpm {
namespace {

struct Ran {
  int code;
  std::string out, err;
};

Ran run(const std::vector<std::string>& arguments) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = run_app(arguments);
  std::fflush(stdout);
  return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
}

nlohmann::json run_json(const std::vector<std::string>& arguments) {
  const Ran ran = run(arguments);
  EXPECT_EQ(ran.code, kExitOk) << ran.err;
  return nlohmann::json::parse(ran.out);
}

// Exit code 2, nothing on stdout, this on stderr.
void expect_usage_error(const std::vector<std::string>& arguments, const std::string& message) {
  const Ran ran = run(arguments);
  EXPECT_EQ(ran.code, kExitUsage);
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "ddpm: error: " + message + "\n");
}

TEST(App, UsageErrors) {
  expect_usage_error({"trian"}, "unknown command 'trian'. Did you mean 'train'? See 'ddpm --help'");
  expect_usage_error({"frobnicate"}, "unknown command 'frobnicate'. See 'ddpm --help'");
  expect_usage_error({"--verbose", "train"},
                     "unknown option '--verbose' before the command. See 'ddpm --help'");
  expect_usage_error({"train", "--stesp", "3"},
                     "unknown option '--stesp'. Did you mean '--steps'? See 'ddpm train --help'");
  expect_usage_error({"config", "shwo"},
                     "unknown command 'config shwo'. Did you mean 'show'? See 'ddpm --help'");
  expect_usage_error({"data"}, "'ddpm data' needs one of: list, inspect");
  expect_usage_error({"report"}, "FOLDER is missing. See 'ddpm report --help'");
  expect_usage_error({"eval", "--progress", "no", "x"},
                     "option --progress must be one of auto, bar, plain, json, none, found 'no'. "
                     "Did you mean 'none'?");
}

TEST(App, ConfigurationErrors) {
  expect_usage_error({"config", "check", "optimizer.lerning_rate=1"},
                     "unknown key 'optimizer.lerning_rate' (from --set optimizer.lerning_rate=1). "
                     "Did you mean 'learning_rate'?");
  expect_usage_error(
      {"data", "inspect", "digit"},
      "unknown data set 'digit'; known: digits, fashion-mnist, mnist, idx, cifar10, image_folder, "
      "gaussian_mixture. Did you mean 'digits'?");
  EXPECT_EQ(run({"train", "--config", "no/such/file.json"}).code, kExitUsage);
  EXPECT_EQ(run({"train", "--resume", "--overwrite", "--out", "x"}).code, kExitUsage);
}

TEST(App, HelpIsOnStandardOutput) {
  const Ran all = run({"--help"});
  EXPECT_EQ(all.code, kExitOk);
  EXPECT_EQ(all.err, "");
  for (const char* name : {"train", "sample", "edit", "eval", "ablate", "report", "figure", "sweep",
                           "export", "import", "list", "data list", "data inspect", "config show",
                           "config check", "config schema", "doctor", "version"}) {
    EXPECT_NE(all.out.find(std::string("\n  ") + name + " "), std::string::npos) << name;
    std::vector<std::string> arguments;
    std::istringstream words(name);
    for (std::string word; words >> word;) arguments.push_back(word);
    arguments.push_back("--help");
    const Ran one = run(arguments);
    EXPECT_EQ(one.code, kExitOk);
    EXPECT_EQ(one.err, "");
    EXPECT_TRUE(one.out.starts_with(std::string("Usage: ddpm ") + name)) << one.out;
    for (const char* part : {"\nExamples:\n  ddpm ", "\nOptions:\n", "\nExit codes:\n"})
      EXPECT_NE(one.out.find(part), std::string::npos) << name << ": " << part;
    for (std::string line; const char c : one.out) {
      if (c != '\n') line += c;
      EXPECT_LE(line.size(), 100U) << line;
      if (c == '\n') line.clear();
    }
    arguments.pop_back();
    arguments.insert(arguments.begin(), "help");
    EXPECT_EQ(run(arguments).out, one.out);
  }
}

// Examples must not rot: what they set is checked as a configuration.
TEST(App, ExamplesSetKeysThatExist) {
  int assignments = 0;
  for (const char* name :
       {"train", "sample", "edit", "eval", "ablate", "config show", "config check"}) {
    std::vector<std::string> help = {"help"};
    std::istringstream words(name);
    for (std::string word; words >> word;) help.push_back(word);
    std::istringstream lines(run(help).out);
    for (std::string text; std::getline(lines, text);) {
      if (!text.starts_with("  ddpm ")) continue;
      std::vector<std::string> check = {"config", "check"};
      std::istringstream tokens(text);
      for (std::string token; tokens >> token;)
        if (!token.starts_with("-") && token.find('=') != std::string::npos) check.push_back(token);
      assignments += static_cast<int>(check.size()) - 2;
      EXPECT_EQ(run(check).code, kExitOk) << text << "\n" << run(check).err;
    }
  }
  EXPECT_GE(assignments, 6);
}

TEST(App, HelpOnAGroup) {
  EXPECT_EQ(run({"help", "config"}).out, run({"--help"}).out);
  EXPECT_EQ(run({"config", "--help"}).out, run({"--help"}).out);
}

TEST(App, WithoutArgumentsSaysHowAndFails) {
  const Ran ran = run({});
  EXPECT_EQ(ran.code, kExitUsage);
  EXPECT_EQ(ran.out, "");
  EXPECT_TRUE(ran.err.starts_with("Usage: ddpm COMMAND"));
}

TEST(App, Version) {
  EXPECT_TRUE(run({"version"}).out.starts_with("ddpm "));
  EXPECT_EQ(run({"--version"}).out, run({"version"}).out);
  EXPECT_TRUE(run_json({"version", "--json"})["build"].contains("hdf5"));
}

TEST(App, ListNamesEveryVariant) {
  const auto json = run_json({"list", "--json"});
  for (const char* kind : {"schedules", "parameterizations", "variances", "losses", "samplers",
                           "distillations", "datasets", "models", "metrics", "figures"})
    EXPECT_FALSE(json[kind].empty()) << kind;
  ASSERT_EQ(json["schedules"].size(), schedules().names().size());
  EXPECT_EQ(json["schedules"][0]["name"], schedules().names()[0]);
  EXPECT_FALSE(json["studies"].empty());
  EXPECT_NE(run({"list", "losses"}).out.find("\n  simple "), std::string::npos);
  expect_usage_error(
      {"list", "loses"},
      "unknown kind 'loses'; known: schedules, parameterizations, variances, losses, "
      "weightings, timestep_samplers, samplers, distillations, datasets, models, metrics, figures, "
      "edits, studies. Did you mean 'losses'?");
}

TEST(App, ConfigShow) {
  const auto json = run_json({"config", "show", "diffusion.schedule=cosine"});
  EXPECT_EQ(json["diffusion"]["schedule"]["name"], "cosine");
  EXPECT_EQ(json["optimizer"]["learning_rate"], 2e-4);
  const std::string text = run({"config", "show", "--origin", "seed=7"}).out;
  EXPECT_NE(text.find("= 7                    --set seed=7\n"), std::string::npos) << text;
  EXPECT_NE(text.find("= 0.0002               default\n"), std::string::npos) << text;
}

TEST(App, DataInspect) {
  const auto json = run_json({"data", "inspect", "digits", "--json"});
  EXPECT_EQ(json["train"]["count"], 1500);
  EXPECT_NE(run({"data", "inspect"}).out.find("digits"), std::string::npos);
}

TEST(App, Doctor) {
  const auto json = run_json({"doctor", "--json"});
  EXPECT_GE(json["processors"].get<int>(), 1);
  EXPECT_EQ(json["datasets"]["digits"], "1500 + 297 images");
  const std::string reason = memory::unavailable_reason(Device::kCuda);
  EXPECT_EQ(json["cuda"], reason.empty() ? "usable" : reason);
  EXPECT_EQ(json["device"]["kind"], reason.empty() ? "cuda" : "cpu");
  EXPECT_EQ(json["precisions"][0], "f32");
  const auto filters = json["hdf5"]["filters"];
  EXPECT_NE(std::find(filters.begin(), filters.end(), "fletcher32"), filters.end());
}

TEST(App, ColorIsForTerminalsUnlessAskedFor) {
  EXPECT_EQ(run({"train", "--help"}).out.find('\x1b'), std::string::npos);
  EXPECT_NE(run({"train", "--help", "--color", "always"}).out.find('\x1b'), std::string::npos);
}

TEST(App, ReportOfNothing) {
  expect_usage_error({"report", "/"},
                     "'/' is neither a study nor a run: it has no study.json, config.json or "
                     "result.json");
}

}  // namespace
}  // namespace ddpm
