// A registry of two shapes, made from configurations and by name.
#include "framework/config/registry.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ddpm {
namespace {

struct Curve {
  virtual ~Curve() = default;
  virtual double at(double x) const = 0;
};
struct Line : Curve {
  explicit Line(const Config& config)
      : slope(config.number("slope", 1, -kMaxNumber, kMaxNumber, "rise per step")) {}
  double at(double x) const override { return slope * x; }
  double slope;
};
struct Power : Curve {
  explicit Power(const Config& config)
      : exponent(config.integer("exponent", required, 1, 9, "power of x")) {}
  double at(double x) const override { return exponent == 2 ? x * x : x; }
  int64_t exponent;
};

const Registry<Curve>& curves() {
  static const Registry<Curve> registry("curve", {
                                                     {"line", "a line", factory<Curve, Line>()},
                                                     {"power", "a power", factory<Curve, Power>()},
                                                 });
  return registry;
}

double value_at_3(std::string_view text) {
  const Config config(ConfigSource::parse_text(text, "c.json"));
  const auto curve = curves().make(config, "curve", "line");
  config.finish();
  return curve->at(3);
}

template <class Run>
std::string error_of(Run run) {
  try {
    run();
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Registry, MakesTheNamedVariantWithItsSettings) {
  EXPECT_EQ(value_at_3("{}"), 3);
  EXPECT_EQ(value_at_3(R"({"curve": "line"})"), 3);
  EXPECT_EQ(value_at_3(R"({"curve": {"slope": 2}})"), 6);
  EXPECT_EQ(value_at_3(R"({"curve": {"exponent": 2, "name": "power"}})"), 9);
  EXPECT_EQ(curves().make("line")->at(4), 4);
}

TEST(Registry, ListsItsNames) {
  EXPECT_EQ(curves().names(), (std::vector<std::string>{"line", "power"}));
  EXPECT_EQ(curves().help("power"), "a power");
}

TEST(Registry, Errors) {
  EXPECT_EQ(error_of([] { curves().make("lime"); }),
            "unknown curve 'lime'; known: line, power. Did you mean 'line'?");
  EXPECT_EQ(error_of([] { curves().make("power"); }), "missing required key 'exponent'");
  EXPECT_EQ(error_of([] { value_at_3(R"({"curve": "pwoer"})"); }),
            "c.json:1:11: 'curve.name' must be one of line, power, found \"pwoer\"."
            " Did you mean 'power'?");
  EXPECT_EQ(error_of([] { value_at_3(R"({"curve": {"name": "power", "slope": 1}})"); }),
            "2 errors in the configuration:\n"
            "  c.json:1:11: missing required key 'curve.exponent'\n"
            "  c.json:1:29: unknown key 'curve.slope'");
}

TEST(Registry, DuplicateNamesAreOurBug) {
  using R = Registry<Curve>;
  const R::Factory line = factory<Curve, Line>();
  EXPECT_THROW(R("curve", {{"a", "", line}, {"a", "", line}}), Error);
}

}  // namespace
}  // namespace ddpm
