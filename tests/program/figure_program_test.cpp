// `ddpm figure` end to end on a small run: every figure, repeated and with other thread counts;
// what the pictures must show; wrong input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "framework/io/hdf5_file.h"
#include "tests/program/trained_run.h"

namespace ddpm::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

constexpr int64_t kSize = 64;  // pixels of a digit

// The images of a figure, (rows, columns, 8, 8).
struct Grid {
  explicit Grid(const std::string& path) {
    const Hdf5Reader file(path);
    rows = file.integer("/images", "rows");
    columns = file.integer("/images", "columns");
    values = file.read<float>("/images", {rows * columns, 8, 8, 1});
  }
  std::vector<float> at(int64_t row, int64_t column) const {
    const auto begin = values.begin() + (row * columns + column) * kSize;
    return {begin, begin + kSize};
  }
  int64_t rows, columns;
  std::vector<float> values;
};

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i) squares += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return std::sqrt(squares / static_cast<double>(a.size()));
}

std::vector<std::vector<std::string>> read_csv(const std::string& path) {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    rows.emplace_back();
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) rows.back().push_back(cell);
  }
  return rows;
}

class FigureProgram : public TrainedRun {
 protected:
  // Draws and returns the path of the figure without its extension.
  std::string draw(const std::string& name, const std::string& out,
                   const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments = {"figure", name, out, "figure.images=6"};
    for (const char* other :
         {"samples", "schedule", "shared_latents", "interpolation", "latent_interpolation"})
      if (name == other) arguments.pop_back();
    if (name == "timestep_variance") arguments.back() = "figure.batches=[6]";
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished result = ddpm(arguments);
    EXPECT_EQ(result.exit_code, 0) << name << ": " << result.err;
    return out + "/figures/" + name;
  }
  void expect_refusal(const std::string& out, std::vector<std::string> arguments,
                      const std::string& message) const {
    arguments.insert(arguments.begin(), "figure");
    const Finished result = ddpm(arguments);
    EXPECT_EQ(result.exit_code, 2) << message;
    EXPECT_THAT(result.err, HasSubstr(message));
    EXPECT_EQ(result.out, "");
    EXPECT_FALSE(fs::exists(out + "/figures")) << message;
  }
};

TEST_F(FigureProgram, EveryFigureHasTheSameBytesTwiceAndForAnyThreadCount) {
  auto listed = nlohmann::json::parse(run({"list", "figures", "--json"}).out)["figures"];
  // One has no run; OrdersOfSolversNeedNoRun draws it.
  std::erase_if(listed.get_ref<nlohmann::json::array_t&>(),
                [](const auto& figure) { return figure["name"] == "solver_orders"; });
  ASSERT_GE(listed.size(), 11u);
  std::map<std::string, std::string> first;
  // The same folder name, since figures show it.
  for (const char* threads : {"1", "1", "3"}) {
    const std::string out = copy("run");
    for (const auto& figure : listed) draw(figure["name"], out, {"--threads", threads});
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(out + "/figures"))
      files[entry.path().filename()] = read_file(entry.path());
    for (const auto& figure : listed) {
      const std::string svg = files[figure["name"].get<std::string>() + ".svg"];
      EXPECT_TRUE(svg.starts_with("<svg ") && svg.ends_with("</svg>\n")) << figure["name"];
      EXPECT_EQ(svg.find("=\"nan"), std::string::npos) << figure["name"];
      EXPECT_THAT(svg, HasSubstr("Run run: data digits, step 20")) << figure["name"];
    }
    if (first.empty()) first = files;
    ASSERT_EQ(files.size(), first.size());
    for (const auto& [name, bytes] : files)
      EXPECT_EQ(bytes, first[name]) << name << " with " << threads << " threads";
    fs::remove_all(out);
  }
}

TEST_F(FigureProgram, GenerationEndsWithTheSamples) {
  const std::string out = copy("run");
  const Grid samples(draw("samples", out, {"figure.rows=1", "figure.columns=6"}) + ".h5");
  const Grid estimates(draw("progressive_generation", out) + ".h5");
  const Grid averages(draw("ema_comparison", out) + ".h5");
  ASSERT_EQ(averages.rows, 3) << "raw and two averages";
  for (int64_t i = 0; i < 6; ++i) {
    // x_0 at the last step is the sample up to the rounding of the posterior mean.
    EXPECT_LT(distance(estimates.at(i, estimates.columns - 1), samples.at(0, i)), 1e-5);
    EXPECT_GT(distance(estimates.at(i, 0), samples.at(0, i)), 0.1);
    EXPECT_EQ(averages.at(1, i), samples.at(0, i)) << "decay 0.9 is the run's default";
    EXPECT_NE(averages.at(0, i), averages.at(2, i));
  }
}

// Two losses of one expectation: the mean gradients agree within errors, the second noise adds
// variance, except at t = 1, where there is no step before and the losses are one.
TEST_F(FigureProgram, TwoNoisesAddVarianceToTheSameGradient) {
  const std::string out = copy("run");
  const auto rows = read_csv(draw("gradient_variance", out, {"figure.pairs=40"}) + ".csv");
  std::map<std::string, std::pair<double, double>> values;  // with their standard errors
  std::set<std::string> steps;
  for (size_t i = 1; i < rows.size(); ++i) {
    ASSERT_EQ(rows[i].size(), 5u);
    steps.insert(rows[i][0]);
    values[rows[i][0] + " " + rows[i][1] + " " + rows[i][2]] = {std::stod(rows[i][3]),
                                                                std::stod(rows[i][4])};
  }
  EXPECT_EQ(values.size(), 4 * steps.size());
  EXPECT_TRUE(steps.contains("1") && steps.contains("40") && steps.contains("uniform"));
  for (const std::string& t : steps) {
    const auto [one, one_error] = values[t + " simple variance"];
    const auto [two, two_error] = values[t + " two_noise variance"];
    const auto [mean, mean_error] = values[t + " simple squared_mean"];
    const auto [other, other_error] = values[t + " two_noise squared_mean"];
    EXPECT_NEAR(mean, other, 4.5 * std::hypot(mean_error, other_error)) << t;
    if (t == "1") {
      EXPECT_EQ(one, two);
    } else {
      EXPECT_GT(two, one) << t << ", of the same batches";
    }
    if (t == "40" || t == "uniform") {
      EXPECT_GT(two - one, 4.5 * std::hypot(one_error, two_error)) << t;
    }
  }
}

// However timesteps are drawn, the gradient has one expectation.
TEST_F(FigureProgram, TimestepSamplersAgreeInTheMeanGradient) {
  const std::string out = copy("run");
  const auto rows =
      read_csv(draw("timestep_variance", out, {"figure.pairs=60", "figure.batches=[8]"}) + ".csv");
  ASSERT_EQ(rows.size(), 1 + 4 * 2u);
  std::map<std::string, std::pair<double, double>> means;  // with their standard errors
  for (size_t i = 1; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i][0], "8");
    if (rows[i][2] == "squared_mean")
      means[rows[i][1]] = {std::stod(rows[i][3]), std::stod(rows[i][4])};
    else
      EXPECT_GT(std::stod(rows[i][3]), 0) << rows[i][1];
  }
  ASSERT_EQ(means.size(), 4u);
  const auto [expected, expected_error] = means["uniform"];
  for (const auto& [name, mean] : means)
    EXPECT_NEAR(mean.first, expected, 4.5 * std::hypot(mean.second, expected_error)) << name;
}

TEST_F(FigureProgram, QualityEndsWithThatOfTheSamples) {
  const std::string out = copy("run");
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"figure.images=64", "figure.points=5"});
    return read_csv(draw("progressive_quality", out, more) + ".csv");
  };
  const auto rows = with({});
  ASSERT_EQ(rows.size(), 1 + 5u);
  EXPECT_EQ(rows[1], (std::vector<std::string>{"1", "40", "fd_digits1", rows[1][3]}));
  EXPECT_EQ(rows[5], (std::vector<std::string>{"40", "1", "fd_digits1", rows[5][3]}));
  for (size_t i = 2; i < rows.size(); ++i) EXPECT_NE(rows[i][3], rows[i - 1][3]);
  EXPECT_EQ(with({"sampling.batch_size=7"}), rows) << "whatever the batches";

  ASSERT_EQ(ddpm({"eval", out, "--metrics", "samples", "evaluation.samples=64"}).exit_code, 0);
  const double distance =
      nlohmann::json::parse(read_file(out + "/result.json"))["metrics"]["fd_digits1"];
  // The last estimate is the sample up to rounding, and few pixels lie so near to the border of two
  // grey levels that it matters.
  EXPECT_NEAR(std::stod(rows[5][3]), distance, 1e-3 * distance);

  const auto fewer = with({"sampling.sampler.name=ddim", "sampling.sampler.steps=3"});
  ASSERT_EQ(fewer.size(), 1 + 3u) << "as many as there are steps";
  EXPECT_TRUE(fs::is_empty(out + "/features")) << "what was saved on the way";
}

TEST_F(FigureProgram, CtrlCLeavesTheEarlierFigure) {
  const std::string out = copy("run");
  const std::vector<std::vector<std::string>> figures = {
      {"samples", "figure.rows=256", "figure.columns=256"},
      {"gradient_variance", "figure.pairs=100000"},
      {"progressive_quality", "figure.images=1000000"}};
  for (const auto& large : figures) {
    draw(large[0], out);
    std::map<std::string, std::string> before;
    for (const auto& entry : fs::directory_iterator(out + "/figures"))
      before[entry.path()] = read_file(entry.path());
    std::vector<std::string> arguments = {"figure", large[0], out, "--progress", "none"};
    arguments.insert(arguments.end(), large.begin() + 1, large.end());
    Finished stopped;
    // Later and later: a signal that comes before the run is loaded ends the program unheard.
    for (useconds_t delay = 200'000; stopped.err.empty() && delay < 10'000'000; delay *= 2) {
      Program program(arguments);
      usleep(delay);
      program.signal(SIGINT);
      stopped = program.wait();
      EXPECT_EQ(stopped.exit_code, 130);
    }
    EXPECT_THAT(stopped.err, HasSubstr("; no figure was written\n"));
    std::map<std::string, std::string> after;
    for (const auto& entry : fs::directory_iterator(out + "/figures"))
      after[entry.path()] = read_file(entry.path());
    EXPECT_EQ(after, before) << large[0];
  }
}

TEST_F(FigureProgram, InterpolationMixesWhereItSays) {
  const std::string out = copy("run");
  const std::vector<std::string> settings = {"figure.pairs=1", "figure.lambdas=5",
                                             "figure.depths=[0,5,40]"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), settings.begin(), settings.end());
    return Grid(draw("interpolation", out, more) + ".h5");
  };
  const Grid grid = with({});
  ASSERT_EQ(grid.columns, 7);
  for (int64_t row = 0; row < 3; ++row) {
    EXPECT_EQ(grid.at(row, 0), grid.at(0, 0));
    EXPECT_EQ(grid.at(row, 6), grid.at(0, 6));
  }
  EXPECT_EQ(grid.at(0, 1), grid.at(0, 0)) << "lambda = 0 of pixels";
  EXPECT_EQ(grid.at(0, 5), grid.at(0, 6)) << "lambda = 1";
  std::vector<float> middle = grid.at(0, 0);
  for (size_t i = 0; i < middle.size(); ++i) middle[i] = (middle[i] + grid.at(0, 6)[i]) / 2;
  EXPECT_LT(distance(grid.at(0, 3), middle), 1e-6);
  EXPECT_LT(distance(grid.at(1, 1), grid.at(0, 0)), distance(grid.at(2, 1), grid.at(0, 0)))
      << "five steps keep more of the image than forty";

  const Grid shared = with({"figure.shared_reverse_noise=true"});
  // Between neighbours in lambda; the first lambda of a pair has the same noise in both figures.
  EXPECT_EQ(shared.at(2, 1), grid.at(2, 1));
  EXPECT_LT(distance(shared.at(2, 2), shared.at(2, 1)), distance(grid.at(2, 2), grid.at(2, 1)));
  const Grid endpoints = with({"figure.endpoint_noise=shared"});
  EXPECT_EQ(endpoints.at(2, 1), grid.at(2, 1)) << "the first endpoint is as it was";
  EXPECT_NE(endpoints.at(2, 5), grid.at(2, 5));
}

TEST_F(FigureProgram, LatentsAreMixedBetweenTheSamplesOfTheirSeed) {
  const std::string out = copy("run");
  const std::vector<std::string> unipc = {"sampling.sampler.name=unipc",
                                          "sampling.sampler.steps=12"};
  const auto with = [&](const char* name, std::vector<std::string> more) {
    more.insert(more.end(), unipc.begin(), unipc.end());
    return Grid(draw(name, out, more) + ".h5");
  };
  const Grid samples = with("samples", {"figure.rows=1", "figure.columns=6"});
  const Grid grid = with("latent_interpolation", {"figure.pairs=3", "figure.lambdas=33"});
  ASSERT_EQ(grid.columns, 33);
  for (int64_t pair = 0; pair < 3; ++pair) {
    EXPECT_EQ(grid.at(pair, 0), samples.at(0, pair)) << "lambda = 0";
    EXPECT_EQ(grid.at(pair, 32), samples.at(0, 3 + pair)) << "lambda = 1";
    const double ends = distance(grid.at(pair, 0), grid.at(pair, 32));
    for (int64_t l = 0; l < 32; ++l)
      EXPECT_LT(distance(grid.at(pair, l), grid.at(pair, l + 1)), 0.5 * ends) << l;
  }
  // Ancestral sampling, this run's own, gives way to DDIM.
  EXPECT_THAT(read_file(draw("latent_interpolation", out) + ".svg"), HasSubstr("sampler ddim (40"));
}

TEST_F(FigureProgram, TheFlowBringsImagesBackToWithinItsTolerance) {
  const std::string out = copy("run");
  const std::string path =
      draw("probability_flow", out, {"figure.images=4", "figure.tolerances=[1e-4,1e-2]"});
  const auto rows = read_csv(path + ".csv");
  ASSERT_EQ(rows.size(), 1 + 2u);
  EXPECT_EQ(rows[1][0], "0.01") << "the largest first";
  for (size_t i = 1; i < rows.size(); ++i) {
    // Steps add up, and on the way back the flow of this hardly trained network spreads errors.
    EXPECT_LT(std::stod(rows[i][3]), 50 * std::stod(rows[i][0]));
    for (const size_t way : {1, 2}) EXPECT_GE(std::stod(rows[i][way]), 8) << "two and a step";
  }
  EXPECT_LT(std::stod(rows[2][3]), std::stod(rows[1][3]));
  EXPECT_GT(std::stod(rows[2][1]), std::stod(rows[1][1]));
}

TEST_F(FigureProgram, ImagesComeBackFromTheirLatents) {
  const std::string out = copy("run");
  const std::string path = draw("reconstruction", out, {"figure.steps=[40,5,20,20]"});
  const Grid grid(path + ".h5");
  const auto rows = read_csv(path + ".csv");
  ASSERT_EQ(rows.size(), 1 + 3u);
  ASSERT_EQ(grid.columns, 2 + 3);
  for (size_t i = 1; i < rows.size(); ++i) {
    double squares = 0;
    for (int64_t row = 0; row < 6; ++row)
      squares += std::pow(distance(grid.at(row, 0), grid.at(row, 1 + static_cast<int64_t>(i))), 2);
    EXPECT_NEAR(std::stod(rows[i][2]), squares / 6 / 4, 1e-8);
    if (i > 1) {
      EXPECT_LT(std::stod(rows[i][2]), std::stod(rows[i - 1][2])) << rows[i][0] << " steps";
    }
  }
  EXPECT_EQ(rows[1][0], "5");
  EXPECT_EQ(rows[1][1], "9") << "evaluations: the way back has a step less";
  EXPECT_LT(std::stod(rows[3][2]), 0.01);

  // The same latents, at both ends of an interpolation.
  const Grid mixed(draw("latent_interpolation", out,
                        {"figure.pairs=3", "figure.lambdas=2", "figure.endpoints=encoded",
                         "sampling.sampler.name=ddim", "sampling.sampler.steps=40",
                         "sampling.sampler.clip_denoised=false"}) +
                   ".h5");
  ASSERT_EQ(mixed.columns, 4);
  for (int64_t pair = 0; pair < 3; ++pair) {
    EXPECT_EQ(mixed.at(pair, 0), grid.at(pair, 0));
    EXPECT_EQ(mixed.at(pair, 1), grid.at(pair, 4));
    EXPECT_EQ(mixed.at(pair, 2), grid.at(3 + pair, 4));
    EXPECT_EQ(mixed.at(pair, 3), grid.at(3 + pair, 0));
  }
}

TEST_F(FigureProgram, LatentsShareMoreTheLaterTheyAre) {
  const std::string out = copy("run");
  const Grid grid(draw("shared_latents", out,
                       {"figure.latents=1", "figure.samples=6", "figure.depths=[40,3]"}) +
                  ".h5");
  ASSERT_EQ(grid.rows, 2);
  const auto spread = [&](int64_t row) {
    double sum = 0;
    for (int64_t a = 1; a <= 6; ++a)
      for (int64_t b = 1; b < a; ++b) sum += distance(grid.at(row, a), grid.at(row, b));
    return sum;
  };
  EXPECT_GT(spread(1), 0) << "samples have their own noise";
  EXPECT_LT(spread(1), 0.5 * spread(0));
}

TEST_F(FigureProgram, CodingEndsWithTheImageAndNeverTakesBitsBack) {
  const std::string out = copy("run");
  const auto rows = read_csv(draw("progressive_coding", out) + ".csv");
  ASSERT_EQ(rows.size(), 1 + 6 * 41u);
  std::map<std::string, double> spent;
  for (size_t i = 1; i < rows.size(); ++i) {
    const double bits = std::stod(rows[i][2]);
    EXPECT_GE(bits, spent[rows[i][0]]) << "divergences are not negative";
    spent[rows[i][0]] = bits;
    if (rows[i][1] == "0") {
      EXPECT_EQ(rows[i][3], "0") << "lossless";
    } else {
      EXPECT_GT(std::stod(rows[i][3]), 0);
    }
  }
}

TEST_F(FigureProgram, NeighboursAreAsFarAsTheTableSays) {
  const std::string out = copy("run");
  const std::string path = draw("nearest_neighbours", out, {"figure.neighbours=3"});
  const Grid grid(path + ".h5");
  ASSERT_EQ(grid.columns, 7);
  const auto rows = read_csv(path + ".csv");
  ASSERT_EQ(rows.size(), 1 + 6 * 2 * 3u);
  double before = 0;
  for (size_t i = 1; i < rows.size(); ++i) {
    const double d = std::stod(rows[i][4]);
    const int64_t rank = std::stoll(rows[i][2]), row = std::stoll(rows[i][0]);
    EXPECT_GE(d, rank == 1 ? 0 : before);
    before = d;
    if (rows[i][1] != "pixels") continue;
    EXPECT_NEAR(distance(grid.at(row, 0), grid.at(row, rank)), d, 1e-7);
    // No neighbour in features is closer in pixels than the closest in pixels.
    if (rank == 1) {
      for (int64_t k = 4; k < 7; ++k)
        EXPECT_GE(distance(grid.at(row, 0), grid.at(row, k)), d - 1e-7);
    }
  }
}

TEST_F(FigureProgram, TheBoundInFiguresIsThatOfEval) {
  const std::string out = copy("run");
  const auto curve = read_csv(draw("rate_distortion", out) + ".csv");
  const auto loss = read_csv(draw("loss_by_timestep", out) + ".csv");
  ASSERT_EQ(ddpm({"eval", out, "--metrics", "nll", "evaluation.test_images=6"}).exit_code, 0);
  const auto test = nlohmann::json::parse(read_file(out + "/likelihood.json"))["split"]["test"];
  for (const auto& bound : test["bounds"]) {
    const std::string variance = bound["variance"];
    double last_rate = 0, last_rmse = 0, terms = 0;
    for (const auto& row : curve)
      if (row[0] == "test" && row[1] == variance) {
        last_rate = std::stod(row[3]);
        last_rmse = std::stod(row[4]);
      }
    for (const auto& row : loss)
      if (row[0] == "test" && row[2] == "bound_" + variance) terms += std::stod(row[3]);
    // Nine digits are written, forty terms are summed.
    EXPECT_NEAR(last_rate, bound["rate"], 1e-6);
    EXPECT_NEAR(last_rmse, test["rmse"][0], 1e-6);
    EXPECT_NEAR(terms + test["prior"].get<double>(), bound["total"], 1e-6);
  }
  EXPECT_EQ(read_file(out + "/figures/rate_distortion.svg").find("Ho et al."), std::string::npos)
      << "the paper's numbers belong to CIFAR-10";
}

TEST_F(FigureProgram, WrongInput) {
  const std::string out = copy("run");
  expect_refusal(out, {"smaples", out}, "unknown figure 'smaples'; known: samples, progressive_");
  expect_refusal(out, {"smaples", out}, "Did you mean 'samples'?");
  expect_refusal(out, {"samples"}, "RUN is missing");
  expect_refusal(out, {"samples", folder_ / "none"}, "not a run folder");
  expect_refusal(out, {"interpolation", out, "figure.pair=2"}, "unknown key 'figure.pair'");
  expect_refusal(out, {"interpolation", out, "figure.pairs=0"}, "figure.pairs");
  expect_refusal(out, {"interpolation", out, "figure.depths=[41]"},
                 "figure.depths: 41 diffusion steps of a process that has 40");
  expect_refusal(out, {"samples", out, "model.base_channels=16"}, "can be changed");
  expect_refusal(out, {"reconstruction", out, "figure.steps=[10,41]"},
                 "figure.steps: 41 of a process that has 40");
  expect_refusal(out, {"latent_interpolation", out, "figure.endpoints=endcoded"},
                 "Did you mean 'encoded'?");
  expect_refusal(out,
                 {"latent_interpolation", out, "figure.endpoints=encoded",
                  "sampling.sampler.name=unipc", "sampling.sampler.steps=12"},
                 "ddim alone has a way back from an image to its x_T; this run's is unipc");
  expect_refusal(out, {"progressive_generation", out, "sampling.sampler.name=ode"},
                 "sampler ode: it chooses the steps of every image as it goes, and this needs");
  expect_refusal(out, {"samples", out, "sampling.weights=ema_2"}, "sampling.weights");
  expect_refusal(
      out, {"nearest_neighbours", out, "figure.neighbours=64", "evaluation.extractor=none.h5"},
      "none.h5");
  const std::string elsewhere = folder_ / "elsewhere";
  ASSERT_EQ(ddpm({"figure", "schedule", out, "--out", elsewhere}).exit_code, 0);
  EXPECT_TRUE(fs::exists(elsewhere + "/schedule.svg"));
  EXPECT_FALSE(fs::exists(out + "/figures"));
}

TEST_F(FigureProgram, PointsHaveNoPictures) {
  write_file(folder_ / "points.json", R"({"data": {"name": "gaussian_mixture"}, "model": "mlp",
      "diffusion": {"timesteps": 10}, "training": {"steps": 2, "batch_size": 8}})");
  const std::string out = folder_ / "points";
  ASSERT_EQ(ddpm({"train", "-c", folder_ / "points.json", "--out", out}).exit_code, 0);
  expect_refusal(out, {"samples", out}, "have no pictures");
  expect_refusal(out, {"progressive_quality", out}, "no feature extractor is shipped for data");
  draw("rate_distortion", out);
  EXPECT_THAT(read_file(out + "/figures/rate_distortion.svg"), HasSubstr(">RMSE<"));
}

// Another sampler's settings are unknown to the one that the run recorded.
TEST_F(FigureProgram, TheSamplerCanBeAnother) {
  const std::string out = copy("run");
  const std::string path = draw(
      "samples", out, {"figure.rows=1", "sampling.sampler.name=ddim", "sampling.sampler.steps=5"});
  EXPECT_THAT(read_file(path + ".svg"), HasSubstr("sampler ddim (5"));
}

TEST_F(FigureProgram, OrdersOfSolversNeedNoRun) {
  const std::string out = folder_ / "orders";
  ASSERT_EQ(ddpm({"figure", "solver_orders", "--out", out}).exit_code, 0);
  // The error of each sampler falls from one number of evaluations to the next.
  const auto rows = read_csv(out + "/solver_orders.csv");
  ASSERT_EQ(rows.size(), 1 + 2 * (7 * 8u + 9));
  for (size_t i = 2; i < rows.size(); ++i) {
    if (rows[i][0] != rows[i - 1][0] || rows[i][1] != rows[i - 1][1]) continue;
    EXPECT_LT(std::stod(rows[i][3]), std::stod(rows[i - 1][3])) << rows[i][0] << rows[i][2];
  }
  EXPECT_THAT(read_file(out + "/solver_orders.svg"), HasSubstr("DPM-Solver++ 2M: 2.0"));
  // Errors this small are those of steps that are not even: the order shows only roughly.
  EXPECT_LT(std::stod(rows.back()[3]), 1e-7) << rows.back()[0] << " at a tolerance of 1e-10";
  expect_refusal(out, {"solver_orders", out}, "figure solver_orders: it is drawn from no run");
  expect_refusal(out, {"solver_orders", "seed=1"}, "no setting of one, found 'seed=1'");
  expect_refusal(out, {"solver_orders", "--checkpoint", "a.h5"}, "found 'a.h5'");
  expect_refusal(out, {"schedule"}, "RUN is missing");
}

}  // namespace
}  // namespace ddpm::testing
