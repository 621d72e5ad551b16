// ddpm sweep: one checkpoint under every combination of sampler settings.
#include "experiments/runner/sweep.h"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "experiments/cli/command.h"
#include "experiments/cli/integer_list.h"
#include "experiments/figures/figure.h"

namespace ddpm {
namespace {

struct SweepOptions {
  SweepRequest request;
  std::string weights, samplers, steps, variances, clippings, guidances, progress = "auto";
};

std::string source_of(const SweepOutcome& outcome) {
  return fmt::format("Run {}: data {}, step {}, seed {}.",
                     std::filesystem::path(outcome.run).filename().string(), outcome.dataset,
                     outcome.step, outcome.seed);
}

// A row of pictures for each cell, black where it failed: columns share their x_T.
void draw_cells(const SweepOutcome& outcome) {
  if (!has_pictures(outcome.image_shape)) return;
  const int64_t size = outcome.image_shape.numel();
  PictureGrid grid{.rows = static_cast<int64_t>(outcome.cells.size()),
                   .columns = 0,
                   .image_shape = outcome.image_shape,
                   .levels = outcome.levels,
                   .images = {}};
  for (const SweepCell& cell : outcome.cells)
    grid.columns = std::max(grid.columns, std::ssize(cell.shown) / size);
  if (grid.columns == 0) return;
  for (const SweepCell& cell : outcome.cells) {
    grid.images.insert(grid.images.end(), cell.shown.begin(), cell.shown.end());
    grid.row_labels.push_back(cell.label());
    grid.images.resize(grid.row_labels.size() * static_cast<size_t>(grid.columns * size), -1);
  }
  FigureFiles files(outcome.folder, "sweep");
  files.pictures({.title = "One checkpoint, drawn in many ways",
                  .caption = "Every column starts from one x_T.",
                  .source = source_of(outcome)},
                 grid);
}

// Settings under which a model diverges are a result of the sweep, unless it has no other.
int exit_code(const SweepOutcome& outcome) {
  const auto count = [&](const char* status) {
    return std::count_if(outcome.cells.begin(), outcome.cells.end(),
                         [&](const SweepCell& cell) { return cell.status == status; });
  };
  if (const auto failed = count("failed"); failed > 0) {
    spdlog::error("{} of {} cells failed; the same command tries them again", failed,
                  outcome.cells.size());
    return kExitFailed;
  }
  if (count("completed") > 0) return kExitOk;
  spdlog::error("every cell of '{}' diverged: its samples are no images", outcome.run);
  return kExitDiverged;
}

// What tells a cell from others but its steps, as far as it does.
std::string way_of(const SweepCell& cell, const std::vector<SweepCell>& all) {
  const auto parts = [](const SweepCell& c) {
    return std::array{c.weights, c.sampler, c.variance, c.clipping,
                      fmt::format("guidance {}", c.guidance)};
  };
  std::vector<std::string> telling;
  for (size_t i = 0; i < parts(cell).size(); ++i) {
    const std::string part = parts(cell)[i];
    const bool is_common = std::all_of(
        all.begin(), all.end(), [&](const SweepCell& other) { return parts(other)[i] == part; });
    if (!is_common && part != "none") telling.push_back(part);
  }
  return telling.empty() ? cell.sampler : fmt::format("{}", fmt::join(telling, ", "));
}

// A panel for every Frechet distance; nothing where no cells differ in their evaluations alone.
void draw_distances(const SweepOutcome& outcome) {
  std::map<std::string, std::map<std::string, Series>> curves;  // by metric and way
  bool is_curve = false;
  for (const SweepCell& cell : outcome.cells)
    for (const auto& [metric, value] : cell.metrics) {
      if (!metric.starts_with("fd_")) continue;
      const std::string way = way_of(cell, outcome.cells);
      Series& series = curves[metric][way];
      series.label = way;
      series.points.emplace_back(static_cast<double>(cell.evaluations), value);
      is_curve |= series.points.size() > 1;
    }
  if (!is_curve) return;
  std::vector<Panel> panels;
  for (const auto& [metric, ways] : curves) {
    panels.push_back({.title = metric,
                      .x = "evaluations of the network",
                      .y = "distance",
                      .log_x = true,
                      .log_y = true});
    for (const auto& [way, series] : ways) panels.back().series.push_back(series);
  }
  FigureFiles files(outcome.folder, "distances");
  files.chart({.title = "Distance over evaluations of the network",
               .caption = fmt::format("{} samples each, from the same x_T.", outcome.samples),
               .source = source_of(outcome)},
              panels);
}

int run_sweep(const SweepOptions& options, const OutputOptions& output) {
  Session session(output, options.progress);
  SweepRequest request = options.request;
  request.progress = &session.progress;
  request.announce = [](const std::string& cell) { spdlog::info("{}", cell); };
  request.weights = split_names(options.weights);
  request.samplers = split_names(options.samplers);
  request.steps = parse_integer_list("--steps", options.steps);
  request.variances = split_names(options.variances);
  request.clippings = split_names(options.clippings);
  request.guidances = parse_number_list("--guidance", options.guidances);
  const SweepOutcome outcome = sweep(request);
  draw_cells(outcome);
  draw_distances(outcome);
  if (output.json) {
    print_json(to_json(outcome));
  } else {
    fmt::print("{}", sweep_table(outcome));
  }
  return exit_code(outcome);
}

}  // namespace

const Command kSweepCommand = {
    {"sweep",
     "RUN [options] [a.b=v ...]",
     "Evaluates one checkpoint under every combination of weights, sampler, steps, variance, "
     "clipping and guidance, from the same x_T, and prints one table. Cells that are finished are "
     "kept: the same command goes on where it stopped. Cells that diverge are results; only if all "
     "do is the exit code 3, and 1 if any fails.",
     {"ddpm sweep runs/digits",
      "ddpm sweep runs/digits --sampler ddim,dpm_solver++,unipc --steps 5,10,20,50 --clip clipped",
      "ddpm sweep runs/digits --variance fixed_small,fixed_large evaluation.samples=1000"},
     "RUN/sweep/: sweep.csv, sweep.json, sweep.svg (pictures of every cell), distances.svg (over "
     "evaluations of the network), cells/"},
    [](CommandLine& line) -> std::function<int()> {
      auto options = std::make_shared<SweepOptions>();
      line.positional("RUN", options->request.run, true, "a run folder");
      line.text("--weights", options->weights, "NAMES",
                "of raw, ema, ema_1, ..; default: the run's");
      line.text("--sampler", options->samplers, "NAMES",
                "of 'ddpm list samplers'; default: ancestral, ddim");
      line.text("--steps", options->steps, "LIST", "such as 10,20,50; default: 50 and all");
      line.text("--variance", options->variances, "NAMES",
                "of fixed_small, fixed_large, model if learned, and optimal, which needs 'ddpm "
                "eval'; default: all but optimal");
      line.text("--clip", options->clippings, "NAMES", "of clipped, unclipped; default: both");
      line.text("--guidance", options->guidances, "LIST",
                "of a class-conditional run, such as 1,1.5,3; default: the run's");
      line.text("-o,--out", options->request.out, "DIR", "default: RUN/sweep");
      line.text("--checkpoint", options->request.checkpoint, "FILE", "instead of the newest");
      line.assignments(options->request.overrides);
      line.shorthand("--samples", "evaluation.samples", "N", "drawn in each cell");
      line.shorthand("--seed", "seed", "N", "names the images");
      line.shorthand("--device", "device", "NAME", "auto, cpu or cuda");
      line.shorthand("--threads", "threads", "N", "0: all processors");
      bind_progress(line, options->progress);
      return [options, &line] { return run_sweep(*options, line.output()); };
    }};

}  // namespace ddpm
