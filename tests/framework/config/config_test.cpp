// Every message a user can get from a configuration, word for word, and what a good one resolves
// to.
#include "framework/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "framework/core/check.h"

namespace ddpm {
namespace {

ConfigSource source_of(std::string_view text, std::initializer_list<const char*> overrides = {}) {
  ConfigSource source = ConfigSource::parse_text(text, "run.json");
  for (const char* assignment : overrides) source.set(assignment);
  return source;
}

// A configuration with one key of every kind.
struct Settings {
  int64_t steps;
  double rate;
  bool ema;
  std::string dtype, output;
  std::vector<int64_t> widths;
  std::vector<double> betas;
  std::vector<std::string> metrics;
  std::string schedule;
  double beta_end = 0;

  explicit Settings(const Config& config) {
    steps = config.integer("steps", 1000, 1, 4000, "diffusion steps");
    output = config.string("output", "runs", "folder");
    const Config train = config.child("train", "optimisation");
    rate = train.number("learning_rate", 2e-4, 0, 1, "of Adam", Exclude::kMin);
    ema = train.boolean("ema", true, "average the weights");
    dtype = train.choice("dtype", "f32", {"f32", "bf16"}, "of activations");
    betas = train.numbers("betas", {{0.9, 0.999}}, 0, 1, "of Adam", Exclude::kMax);
    const Config unet = config.child("unet", "network");
    widths = unet.integers("widths", {{32, 64}}, 1, kMaxInteger, "channels per level");
    metrics = config.strings("metrics", {{"fd"}}, "to compute", {"fd", "kid"});
    const Config::Variant variant =
        config.variant("schedule", "linear", {"linear", "cosine"}, "noise schedule");
    schedule = variant.name;
    if (schedule == "linear") {
      beta_end = variant.config.number("beta_end", 0.02, 0, 1, "last beta", Exclude::kBoth);
    }
  }
};

Settings read(std::string_view text, std::initializer_list<const char*> overrides = {}) {
  const Config config(source_of(text, overrides));
  const Settings settings(config);
  config.finish();
  return settings;
}

std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

std::string error_of(std::string_view text, std::initializer_list<const char*> overrides = {}) {
  return error_of([&] { read(text, overrides); });
}

TEST(Config, ReadsEveryKind) {
  const Settings s = read(R"({
    "steps": 1e3,  // an integer in JSON Schema, too
    "output": "a/b",
    /* nested */ "train": {"learning_rate": 1, "ema": false, "dtype": "bf16", "betas": [0, 0.5]},
    "unet": {"widths": [1, 2, 3]},
    "metrics": [],
    "schedule": {"name": "linear", "beta_end": 0.5}
  })");
  EXPECT_EQ(s.steps, 1000);
  EXPECT_EQ(s.output, "a/b");
  EXPECT_EQ(s.rate, 1.0);
  EXPECT_FALSE(s.ema);
  EXPECT_EQ(s.dtype, "bf16");
  EXPECT_EQ(s.betas, (std::vector<double>{0, 0.5}));
  EXPECT_EQ(s.widths, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_TRUE(s.metrics.empty());
  EXPECT_EQ(s.beta_end, 0.5);
}

TEST(Config, ResolvesDefaultsInReadingOrder) {
  const Config config(source_of(R"({"schedule": "linear", "steps": 10})"));
  const Settings settings(config);
  config.finish();
  EXPECT_EQ(config.resolved().dump(),
            R"({"steps":10,"output":"runs","train":{"learning_rate":0.0002,"ema":true,)"
            R"("dtype":"f32","betas":[0.9,0.999]},"unet":{"widths":[32,64]},"metrics":["fd"],)"
            R"("schedule":{"name":"linear","beta_end":0.02}})");
  // Reading the resolved configuration resolves to itself.
  const Config again(source_of(config.resolved().dump()));
  const Settings same(again);
  again.finish();
  EXPECT_EQ(again.resolved(), config.resolved());
}

TEST(Config, ShortAndLongVariantsAreTheSame) {
  const auto resolved = [](std::string_view text, std::initializer_list<const char*> overrides) {
    const Config config(source_of(text, overrides));
    const Settings settings(config);
    config.finish();
    return config.resolved();
  };
  const auto expected = resolved(R"({"schedule": {"name": "cosine"}})", {});
  EXPECT_EQ(resolved(R"({"schedule": "cosine"})", {}), expected);
  EXPECT_EQ(resolved("{}", {"schedule=cosine"}), expected);
  EXPECT_EQ(resolved(R"({"schedule": {"name": "linear", "beta_end": 0.1}})", {"schedule=cosine"}),
            expected);
  EXPECT_EQ(resolved(R"({"schedule": "linear"})", {"schedule.beta_end=0.1"}),
            resolved("{}", {R"(schedule={"name":"linear","beta_end":0.1})"}));
}

struct BadConfig {
  const char* text;
  std::initializer_list<const char*> overrides;
  const char* message;
};

TEST(Config, MessagesVerbatim) {
  const BadConfig cases[] = {
      {R"({"step": 5})", {}, "run.json:1:2: unknown key 'step'. Did you mean 'steps'?"},
      {R"({"train": {"lerning_rate": 5}})",
       {},
       "run.json:1:12: unknown key 'train.lerning_rate'. Did you mean 'learning_rate'?"},
      {R"({"zebra": 5})", {}, "run.json:1:2: unknown key 'zebra'"},
      {R"({"steps": "ten"})", {}, R"(run.json:1:11: 'steps' must be an integer, found "ten")"},
      {R"({"steps": 1.5})", {}, "run.json:1:11: 'steps' must be an integer, found 1.5"},
      {R"({"steps": null})", {}, "run.json:1:11: 'steps' must be an integer, found null"},
      {R"({"steps": 0})", {}, "run.json:1:11: 'steps' must be in [1, 4000], found 0"},
      {R"({"steps": 9007199254740993})",
       {},
       "run.json:1:11: 'steps' must lie within +-9007199254740992 (2^53), found 9007199254740993"},
      {R"({"steps": -99999999999999999999})",
       {},
       "run.json:1:11: 'steps' must lie within +-9007199254740992 (2^53), found -1e+20"},
      {R"({"output": 3})", {}, "run.json:1:12: 'output' must be a string, found 3"},
      {R"({"train": 3})", {}, "run.json:1:11: 'train' must be an object, found 3"},
      {R"({"train": {"learning_rate": 0}})",
       {},
       "run.json:1:29: 'train.learning_rate' must be in (0, 1], found 0"},
      {R"({"train": {"learning_rate": {"a": 1}}})",
       {},
       "run.json:1:29: 'train.learning_rate' must be a number, found an object"},
      {R"({"train": {"ema": 1}})", {}, "run.json:1:19: 'train.ema' must be true or false, found 1"},
      {R"({"train": {"dtype": "fp32"}})",
       {},
       R"(run.json:1:21: 'train.dtype' must be one of f32, bf16, found "fp32". Did you mean 'f32'?)"},
      {R"({"unet": {"widths": 8}})", {}, "run.json:1:21: 'unet.widths' must be a list, found 8"},
      {R"({"unet": {"widths": [8, 0]}})",
       {},
       "run.json:1:25: 'unet.widths.1' must be at least 1, found 0"},
      {R"({"metrics": ["kld"]})",
       {},
       R"(run.json:1:14: 'metrics.0' must be one of fd, kid, found "kld". Did you mean 'kid'?)"},
      {R"({"schedule": "linaer"})",
       {},
       R"(run.json:1:14: 'schedule.name' must be one of linear, cosine, found "linaer".)"
       " Did you mean 'linear'?"},
      // The other keys of an unknown variant are not judged.
      {R"({"schedule": {"name": "cosin", "offset": 1}})",
       {},
       R"(run.json:1:23: 'schedule.name' must be one of linear, cosine, found "cosin".)"
       " Did you mean 'cosine'?"},
      {R"({"schedule": {"name": "cosine", "beta_end": 1}})",
       {},
       "run.json:1:33: unknown key 'schedule.beta_end'"},
      {R"({"schedule": 7})",
       {},
       "run.json:1:14: 'schedule' must be a name or an object with a name, found 7"},
      {"{\"steps\": 5,\n // once more\n \"steps\": 6}",
       {},
       "run.json:3:2: duplicate key 'steps', first given at 1:2"},
      {"{}", {"train.lr=1"}, "unknown key 'train.lr' (from --set train.lr=1)"},
      {"{}", {"steps=0"}, "'steps' must be in [1, 4000], found 0 (from --set steps=0)"},
      {"{}", {"steps=NaN"}, R"('steps' must be an integer, found "NaN" (from --set steps=NaN))"},
      {"{}",
       {"train.dtype=f23"},
       R"('train.dtype' must be one of f32, bf16, found "f23" (from --set train.dtype=f23).)"
       " Did you mean 'f32'?"},
      {"{}", {"steps"}, "--set steps: expected key=value, e.g. a.b=0.5"},
      {"{}", {"train..ema=true"}, "--set train..ema=true: expected key=value, e.g. a.b=0.5"},
      {R"({"steps": 5})", {"steps.x=1"}, "--set steps.x=1: 'steps' is 5, not an object"},
      {"{}",
       {R"(train={"ema":true,"ema":false})"},
       R"(--set train={"ema":true,"ema":false}: duplicate key 'ema')"},
      {"{}", {"output=\xff"}, "--set output=\xff: not valid UTF-8"},
  };
  for (const BadConfig& bad : cases) EXPECT_EQ(error_of(bad.text, bad.overrides), bad.message);
}

TEST(Config, SyntaxErrorsNameThePlace) {
  EXPECT_EQ(error_of("{\n  \"steps\": 5,\n}"),
            "run.json:3:1: syntax error while parsing object key - "
            "unexpected '}'; expected string literal");
  EXPECT_EQ(error_of("[1]"), "run.json: a configuration is an object {...}, found array");
  EXPECT_EQ(error_of(R"({"steps": 1e999})"), "run.json: number overflow parsing '1e999'");
  EXPECT_THAT(error_of(R"({"steps": NaN})"), ::testing::StartsWith("run.json:1:11: syntax error"));
  EXPECT_THAT(error_of(""), ::testing::HasSubstr("unexpected end of input"));
  const std::string deep =
      "{\"steps\":" + std::string(100000, '[') + std::string(100000, ']') + "}";
  EXPECT_EQ(error_of(deep), "run.json:1:74: nested deeper than 64 levels");
}

TEST(Config, ReportsEveryErrorAtOnceInFileOrder) {
  EXPECT_EQ(error_of("{\n"
                     "  \"train\": {\"ema\": \"yes\", \"dtpye\": \"f32\"},\n"
                     "  \"steps\": -1,\n"
                     "  \"steps\": 0,\n"
                     "  \"unet\": {\"widths\": [0, 1.5, 2]}\n"
                     "}",
                     {"outptu=x", "schedule.name=cosine", "schedule.beta=1"}),
            "8 errors in the configuration:\n"
            "  run.json:2:20: 'train.ema' must be true or false, found \"yes\"\n"
            "  run.json:2:27: unknown key 'train.dtpye'. Did you mean 'dtype'?\n"
            "  run.json:4:3: duplicate key 'steps', first given at 3:3\n"
            "  run.json:4:12: 'steps' must be in [1, 4000], found 0\n"
            "  run.json:5:23: 'unet.widths.0' must be at least 1, found 0\n"
            "  run.json:5:26: 'unet.widths.1' must be an integer, found 1.5\n"
            "  unknown key 'outptu' (from --set outptu=x). Did you mean 'output'?\n"
            "  unknown key 'schedule.beta' (from --set schedule.beta=1)");
}

TEST(Config, RequiredKeys) {
  const auto read_required = [](std::string_view text) {
    const Config config(source_of(text));
    const Config data = config.child("data", "images");
    data.string("path", required, "file");
    data.integer("size", required, 1, 64, "of an image");
    const Config::Variant format = data.variant("format", required, {"idx", "png"}, "reader");
    format.config.string("suffix", required, "of the files");
    config.finish();
  };
  EXPECT_EQ(error_of([&] { read_required("{\n \"data\": {\"path\": \"x\"}}"); }),
            "2 errors in the configuration:\n"
            "  run.json:2:10: missing required key 'data.size'\n"
            "  run.json:2:10: missing required key 'data.format'");
  EXPECT_EQ(error_of([&] { read_required(R"({"data": {"path":"x","size":2,"format":{}}})"); }),
            "run.json:1:40: missing required key 'data.format.name'");
  // What is missing below a value of the wrong type is not worth a message.
  EXPECT_EQ(error_of([&] { read_required(R"({"data": true})"); }),
            "run.json:1:10: 'data' must be an object, found true");
  EXPECT_EQ(error_of([&] {
              read_required(R"({"data":{"path":"x","size":2,"format":"png","suffix":1}})");
            }),
            "2 errors in the configuration:\n"
            "  run.json:1:39: missing required key 'data.format.suffix'\n"
            "  run.json:1:45: unknown key 'data.suffix'");
}

TEST(Config, CallersReportWhatOnlyTheySee) {
  const Config config(source_of("{\"unet\":\n {\"size\": 30}}"));
  const Config unet = config.child("unet", "network");
  unet.integer("size", 32, 1, 64, "of an image");
  unet.error("size", "must be divisible by 8, found 30");
  EXPECT_EQ(error_of([&] { config.finish(); }),
            "run.json:2:11: 'unet.size' must be divisible by 8, found 30");
}

TEST(Config, OverridesAreTypedOrBareAndTheLastWins) {
  const Settings s = read(R"({"steps": 5, "train": {"ema": true}})",
                          {"steps=6", "steps=7", "train.ema=false", "output=runs/a=b c",
                           "unet.widths=[4,8]", "train={\"dtype\":\"bf16\"}"});
  EXPECT_EQ(s.steps, 7);
  EXPECT_TRUE(s.ema);  // the whole object was replaced later
  EXPECT_EQ(s.dtype, "bf16");
  EXPECT_EQ(s.output, "runs/a=b c");
  EXPECT_EQ(s.widths, (std::vector<int64_t>{4, 8}));
}

TEST(Config, EntriesSayWhereValuesComeFrom) {
  const Config config(source_of("{\"steps\": 5,\n\"schedule\": \"linear\"}",
                                {"train={\"ema\": false}", "schedule.beta_end=0.5"}));
  const Settings settings(config);
  config.finish();
  std::string origins;
  for (const ConfigEntry& entry : config.entries()) {
    if (entry.origin == "default") continue;
    origins += dotted(entry.path) + " " + entry.value_json + " " + entry.origin + "\n";
  }
  EXPECT_EQ(origins,
            "steps 5 run.json:1:11\n"
            "train {} --set train={\"ema\": false}\n"
            "train.ema false --set train={\"ema\": false}\n"
            "schedule {} run.json:2:13\n"
            "schedule.name \"linear\" run.json:2:13\n"
            "schedule.beta_end 0.5 --set schedule.beta_end=0.5\n");
}

TEST(Config, FreeKeys) {
  const Config config(source_of(R"({"grid": {"b": [1, 2], "a.c": {"x": null}}})"));
  const Config grid = config.child("grid", "what to vary");
  EXPECT_EQ(grid.keys(), (std::vector<std::string>{"b", "a.c"}));
  EXPECT_TRUE(grid.has("b"));
  EXPECT_FALSE(grid.has("c"));
  for (const std::string& key : grid.keys()) grid.json(key, required, "values");
  config.finish();
  EXPECT_EQ(config.resolved().dump(), R"({"grid":{"b":[1,2],"a.c":{"x":null}}})");
}

TEST(Config, ProgrammingErrorsAreNotUserErrors) {
  const Config config{ConfigSource()};
  config.integer("n", 1, 0, 2, "a number");
  config.integer("n", 1, 0, 2, "the same key again is fine");
  const auto is_bug = [](const std::function<void()>& run) {
    try {
      run();
    } catch (const UserError&) {
      return false;
    } catch (const Error&) {
      return true;
    }
    return false;
  };
  EXPECT_TRUE(is_bug([&] { config.integer("n", 2, 0, 2, "with another default it is not"); }));
  EXPECT_TRUE(is_bug([&] { config.integer("m", 3, 0, 2, "a default out of range"); }));
}

TEST(Config, HashIgnoresOrderAndSpelling) {
  const auto hash = [](std::string_view text) {
    const Config config(source_of(text));
    const Settings settings(config);
    config.finish();
    return config_hash(config.resolved());
  };
  const std::string one = hash(R"({"steps": 5, "train": {"learning_rate": 1}})");
  EXPECT_EQ(one, hash(R"({"train": {"learning_rate": 1.0, "ema": true}, "steps": 5.0})"));
  EXPECT_NE(one, hash(R"({"steps": 6, "train": {"learning_rate": 1}})"));
  // printf '{"a":{"c":1,"d":2},"b":0.5}' | sha256sum
  EXPECT_EQ(config_hash(nlohmann::ordered_json::parse(R"({"b": 0.5, "a": {"d": 2, "c": 1}})")),
            "sha256:aba8e5d278388feae0699b47338443b5e84333b9804ae60a53d26c3200de4d29");
}

}  // namespace
}  // namespace ddpm
