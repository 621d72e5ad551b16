// Charts and pictures as files: ticks, labels, what breaks a line, what is escaped.
#include "experiments/figures/chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "experiments/figures/pictures.h"

namespace ddpm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

int count(const std::string& text, const std::string& part) {
  int n = 0;
  for (size_t i = text.find(part); i != std::string::npos; i = text.find(part, i + 1)) ++n;
  return n;
}

TEST(AxisTicks, AreRoundNumbers) {
  EXPECT_THAT(axis_ticks(0, 1000, false, 5), ElementsAre(0, 200, 400, 600, 800, 1000));
  EXPECT_THAT(axis_ticks(-0.31, 0.3, false, 5),
              ElementsAre(-0.30000000000000004, -0.2, -0.1, 0, 0.1, 0.2, 0.30000000000000004));
  EXPECT_THAT(axis_ticks(0.7, 30, true, 5), ElementsAre(1, 2, 5, 10, 20));
  EXPECT_THAT(axis_ticks(1e-5, 1e4, true, 5), ElementsAre(1e-4, 1e-2, 1, 1e2, 1e4));
}

TEST(AxisTicks, HaveShortLabels) {
  EXPECT_EQ(tick_label(0), "0");
  EXPECT_EQ(tick_label(0.30000000000000004), "0.3");
  EXPECT_EQ(tick_label(0.001), "0.001");
  EXPECT_EQ(tick_label(10000), "10000");
  EXPECT_EQ(tick_label(1e-4), "10⁻⁴");
  EXPECT_EQ(tick_label(-5e-7), "-5·10⁻⁷");
  EXPECT_EQ(tick_label(2e12), "2·10¹²");
}

TEST(Chart, WhatHasNoPlaceBreaksTheLine) {
  const auto lines = [](bool log_y, double y) {
    const Panel panel{
        .log_y = log_y,
        .series = {{.label = "a", .points = {{0, 1}, {1, 2}, {2, y}, {3, 1}, {4, 5}}}}};
    return count(draw_chart({.title = "t"}, {panel}, 1), "<polyline") - 1;  // one in the legend
  };
  EXPECT_EQ(lines(false, 3), 1);
  EXPECT_EQ(lines(false, 0), 1);
  EXPECT_EQ(lines(true, 0), 2);
  EXPECT_EQ(lines(false, NAN), 2);
  EXPECT_EQ(lines(false, INFINITY), 2);
}

TEST(Chart, SeriesOfOneLabelShareColourAndLegend) {
  const Series a{.label = "first", .points = {{0, 0}, {1, 1}}},
      b{.label = "second", .points = a.points};
  const std::string svg = draw_chart({.title = "t"}, {{.series = {a, b}}, {.series = {b}}}, 2);
  EXPECT_EQ(count(svg, ">first<"), 1);
  EXPECT_EQ(count(svg, ">second<"), 1);
  EXPECT_EQ(count(svg, "stroke=\"#d55e00\""), 3);
}

TEST(Chart, NothingToShowIsNoError) {
  const std::string svg =
      draw_chart({.title = "t"}, {{.log_y = true, .series = {{.label = "a"}}}}, 1);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(Svg, SubscriptsBelongToSingleLetters) {
  const auto is_formula = [](const char* text) {
    return with_subscripts(text, 10).find("<tspan") != std::string::npos;
  };
  for (const char* text : {"x_t", "√ᾱ_t", "β̃_t", "x_{t-1}", "(x_0)", "L_T is"})
    EXPECT_TRUE(is_formula(text)) << text;
  for (const char* text : {"fixed_large", "fd_digits1", "x_to", "_t", "x_", "x_{t", "x _"})
    EXPECT_FALSE(is_formula(text)) << text;
  EXPECT_EQ(with_subscripts("x_t < x_{t-1}", 10),
            "x<tspan dy=\"2.1\" font-size=\"7.5\">t</tspan><tspan dy=\"-2.1\"> &lt; x</tspan>"
            "<tspan dy=\"2.1\" font-size=\"7.5\">t-1</tspan>");
}

TEST(Page, EscapesAndWraps) {
  const std::string svg = draw_page(
      {.title = "a < b & c", .caption = std::string(30, 'w') + " " + std::string(90, 'x') + " y"},
      100, 50, [](Svg&, double, double) {});
  EXPECT_THAT(svg, HasSubstr(">a &lt; b &amp; c<"));
  EXPECT_EQ(count(svg, "<text"), 4) << "a title, and three lines of a caption";
}

TEST(Pictures, HavePixelsWhereTheyBelong) {
  // Two rows of three 1 x 2 images, black but for the second of the second row.
  PictureGrid grid{.rows = 2, .columns = 3, .image_shape = {2, 2, 1}, .images = {}};
  grid.images.assign(24, -1);
  grid.images[4 * 4 + 1] = 1;
  grid.wide_after_column = {0};
  const Image image = grid_pixels(grid);
  // Each pixel is 8 x 8; gaps of 2, a wide one of 10.
  ASSERT_EQ(image.shape, (Shape{16 + 2 + 16, 16 + 10 + 16 + 2 + 16, 1}));
  const auto at = [&](int64_t y, int64_t x) { return image.pixels[y * image.shape[1] + x]; };
  EXPECT_EQ(at(0, 0), 0);
  EXPECT_EQ(at(17, 0), 255) << "a gap";
  EXPECT_EQ(at(0, 25), 255) << "the wide gap";
  EXPECT_EQ(at(18, 26), 0);
  EXPECT_EQ(at(18, 26 + 8), 255);
  EXPECT_EQ(at(18 + 8, 26 + 8), 0);
}

TEST(Pictures, GreyLevelsAreStretched) {
  PictureGrid grid{
      .rows = 1, .columns = 1, .image_shape = {2, 2, 1}, .levels = 3, .images = {-9, -1, 0, 9}};
  const Image image = grid_pixels(grid);
  EXPECT_EQ(image.pixels.front(), 0);
  EXPECT_EQ(image.pixels[8 * 16], 128) << "127.5 is rounded up";
  EXPECT_EQ(image.pixels.back(), 255);
}

}  // namespace
}  // namespace ddpm
