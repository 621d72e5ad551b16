#include "experiments/runner/sweep.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "diffusion/registry.h"
#include "experiments/runner/feature_run.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/likelihood_run.h"
#include "experiments/runner/loaded_run.h"
#include "experiments/runner/result.h"
#include "experiments/runner/sampling.h"
#include "experiments/runner/text_table.h"
#include "framework/config/suggest.h"
#include "framework/io/file.h"
#include "framework/io/hdf5_file.h"
#include "framework/io/sha256.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "ddpm.sweep_cell/2";
constexpr int64_t kShown = 8;  // images of a cell that are kept
constexpr int64_t kFewSteps = 50;

std::vector<std::string> chosen(const char* axis, const std::vector<std::string>& wanted,
                                const std::vector<std::string>& all,
                                const std::vector<std::string>& otherwise) {
  for (const std::string& name : wanted)
    DDPM_CHECK(std::find(all.begin(), all.end(), name) != all.end(),
               "--{}: unknown name '{}'; known for this run: {}.{}", axis, name,
               fmt::join(all, ", "), did_you_mean(name, all));
  std::vector<std::string> names;  // in the order given, each once
  for (const std::string& name : wanted.empty() ? otherwise : wanted)
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  return names;
}

// `errors`: the file that the variance "optimal" comes from.
std::unique_ptr<Sampler> sampler_of(const SweepCell& cell, const std::string& errors) {
  Json settings = {{"name", cell.sampler}, {"steps", cell.steps}};
  if (cell.variance == "optimal") {
    settings["name"] = "ddim";
    settings["eta"] = 1;
    settings["errors"] = errors;
  } else if (cell.sampler == "ancestral") {
    settings["variance"] = cell.variance;
  }
  settings["clip_denoised"] = cell.clipping == "clipped";
  const Config config(ConfigSource::parse_text(Json{{"sampler", settings}}.dump(), "sweep"));
  std::unique_ptr<Sampler> sampler = read_sampler(config);
  config.finish();
  return sampler;
}

// Of all cells, in the order of their appearance, those that `keep` wants; the bound, which not all
// cells have, comes first.
template <class Keep>
std::vector<std::string> metric_names(const std::vector<SweepCell>& cells, const Keep& keep) {
  std::vector<std::string> names;
  for (const SweepCell& cell : cells)
    for (const auto& [name, value] : cell.metrics)
      if (keep(name) && std::find(names.begin(), names.end(), name) == names.end())
        names.push_back(name);
  std::stable_partition(names.begin(), names.end(),
                        [](const std::string& name) { return name.starts_with("nll"); });
  return names;
}

Json metrics_json(const SweepCell& cell) {
  Json metrics = Json::object();
  for (const auto& [name, value] : cell.metrics) metrics[name] = finite_or_null(value);
  return metrics;
}

// NaN where the cell has no such number.
double metric_of(const SweepCell& cell, const std::string& name) {
  for (const auto& [metric, value] : cell.metrics)
    if (metric == name) return value;
  return NAN;
}

class Sweep {
 public:
  explicit Sweep(const SweepRequest& request)
      : request_(request), run_(std::in_place, request.run, request.checkpoint, request.overrides) {
    const LoadedRun& run = *run_;
    timesteps_ = run.model->process.timesteps();
    errors_ = run.folder.file("likelihood.json");
    outcome_.folder = request.out.empty() ? run.folder.file("sweep") : request.out;
    outcome_.run = run.folder.path();
    outcome_.dataset = run.dataset.name;
    outcome_.step = run.info.step;
    outcome_.seed = run.config->seed;
    outcome_.samples = run.config->evaluation.samples;
    outcome_.nll_images = std::min(run.config->evaluation.test_images, run.dataset.test.count);
    outcome_.image_shape = run.model->image_shape;
    outcome_.levels = run.dataset.levels;
    DDPM_CHECK(outcome_.samples >= 2,
               "sweep: evaluation.samples is {}; --samples N with N of 2 or more is needed",
               outcome_.samples);
    make_cells();
  }

  SweepOutcome execute() {
    const InterruptGuard guard;
    size_t kept = 0;
    for (size_t i = 0; i < outcome_.cells.size(); ++i) {
      SweepCell& cell = outcome_.cells[i];
      use_weights(cell.weights);
      try {
        const std::string path = path_of(cell);
        if (std::filesystem::exists(path)) {
          load(cell, path);
        } else {
          announce(fmt::format("{}/{} {}", i + 1, outcome_.cells.size(), cell.label()));
          measure(cell);
          save(cell, path);
        }
        ++kept;
      } catch (const Interrupted&) {
        throw Interrupted(
            fmt::format("stopped: {} of {} cells are kept; the same command goes on there", kept,
                        outcome_.cells.size()));
      } catch (const std::exception& error) {
        cell.status = "failed";
        cell.reason = error.what();
        cell.metrics.clear();
        announce(fmt::format("{} failed: {}", cell.label(), cell.reason));
      }
    }
    write_tables();
    return std::move(outcome_);
  }

 private:
  void announce(const std::string& message) const {
    if (request_.announce) request_.announce(message);
  }

  void make_cells() {
    const LoadedRun& run = *run_;
    const std::vector<std::string> all_weights = weight_names(run.info.average_decay.size());
    std::vector<std::string> all_variances = {"fixed_small", "fixed_large"};
    if (run.model->process.variance().learned()) all_variances.emplace_back("model");
    const std::vector<std::string> clippings = {"clipped", "unclipped"};

    const auto weights =
        chosen("weights", request_.weights, all_weights, {run.config->sampling.weights});
    std::vector<std::string> known = all_variances;
    known.emplace_back("optimal");
    const auto variances = chosen("variance", request_.variances, known, all_variances);
    std::vector<int64_t> steps = request_.steps;
    if (steps.empty()) steps = {std::min(kFewSteps, timesteps_), timesteps_};
    std::sort(steps.begin(), steps.end());
    steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
    for (const int64_t s : steps)
      DDPM_CHECK(s >= 2 && s <= timesteps_, "--steps: {} of a process that has {} (2 or more)", s,
                 timesteps_);
    std::vector<double> guidances = request_.guidances;
    if (guidances.empty()) guidances = {run.config->sampling.guidance};
    for (const double guidance : guidances) run.model->check_guidance("--guidance", guidance);
    for (const std::string& w : weights)
      for (const std::string& sampler :
           chosen("sampler", request_.samplers, samplers().names(), {"ancestral", "ddim"}))
        for (const int64_t s : steps)
          for (const std::string& variance :
               sampler == "ancestral" ? variances : std::vector<std::string>{"none"})
            for (const std::string& clip : chosen("clip", request_.clippings, clippings, clippings))
              for (const double guidance : guidances)
                add({w, sampler, s, variance, clip, guidance});
    DDPM_CHECK(!outcome_.cells.empty(), "sweep: none of these combinations exists: {}",
               fmt::join(outcome_.left_out, "; "));
  }

  void add(SweepCell cell) {
    if (cell.variance == "model" && cell.steps < timesteps_ &&
        run_->model->process.variance().is_of_steps()) {
      outcome_.left_out.push_back(cell.label() +
                                  ": the network knows the variance of single steps only");
    } else {
      // Throws if the sampler cannot serve the model.
      cell.evaluations =
          static_cast<int64_t>(sampler_of(cell, errors_)->visits(run_->model->process).size());
      outcome_.cells.push_back(std::move(cell));
    }
  }

  void use_weights(const std::string& weights) {
    if (weights == loaded_) return;
    std::vector<std::string> overrides = request_.overrides;
    overrides.push_back("sampling.weights=" + weights);
    if (run_->config->sampling.weights != weights)
      run_.emplace(request_.run, request_.checkpoint, overrides);
    loaded_ = weights;
    identity_ = identity_json(*run_);
    if (spaces_.empty()) find_spaces();
  }

  void find_spaces() {
    const EvaluationOptions& options = run_->config->evaluation;
    std::vector<std::unique_ptr<FeatureSpace>> spaces = feature_spaces(*run_);
    space_ids_ = {options.reference, options.inception_statistics};
    for (const auto& space : spaces) space_ids_.push_back(space_id(*space));
    spaces_ = add_references(*run_, std::move(spaces), request_.progress);
  }

  // Of everything that the cell depends on.
  std::string path_of(const SweepCell& cell) const {
    const EvaluationOptions& options = run_->config->evaluation;
    Json all = {{"format", kFormat},
                {"run", identity_},
                {"cell", cell.label()},
                {"samples", options.samples},
                {"nll_images", outcome_.nll_images},
                {"timesteps_per_image", options.timesteps_per_image},
                {"spaces", space_ids_}};
    if (cell.variance == "optimal") all["errors"] = sha256_file(errors_);
    return fmt::format("{}/cells/{}.h5", outcome_.folder, sha256_hex(all.dump()).substr(0, 16));
  }

  void measure(SweepCell& cell) {
    const LoadedRun& run = *run_;
    if (cell.sampler == "ancestral" && cell.steps == timesteps_ && cell.variance != "optimal" &&
        outcome_.nll_images > 0) {
      const LikelihoodReport report = measure_likelihood(run, "test", request_.progress).report;
      const Estimate total = report.bound(cell.variance, cell.clipping == "clipped").total;
      cell.metrics = {{"nll_test", total.mean()}, {"nll_test_se", total.standard_error()}};
    }
    run_->model->guidance = cell.guidance;
    MeasuredSamples measured = measure_samples(run, *sampler_of(cell, errors_), cell.label(),
                                               kShown, spaces_, request_.progress);
    cell.shown = std::move(measured.shown);
    const auto append = [&](const MetricValues& values) {
      cell.metrics.insert(cell.metrics.end(), values.begin(), values.end());
    };
    cell.status = measured.range.diverged() ? "diverged" : "completed";
    for (const FeatureComparison& comparison : measured.comparisons)
      append(metric_values(comparison));
    append(metric_values(measured.range));
  }

  void save(const SweepCell& cell, const std::string& path) const {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    const Shape& image = outcome_.image_shape;
    const int64_t shown = static_cast<int64_t>(cell.shown.size()) / image.numel();
    Hdf5Writer file(path);
    file.array<float>("/shown", image.batch_of(shown), cell.shown);
    file.set_string("/", "format", kFormat);
    file.set_string("/", "cell", cell.label());
    file.set_string("/", "status", cell.status);
    file.set_string("/", "metrics", metrics_json(cell).dump());
    file.commit();
  }

  void load(SweepCell& cell, const std::string& path) const {
    const Hdf5Reader file(path);
    DDPM_CHECK(file.has_attribute("/", "format") && file.string("/", "format") == kFormat &&
                   file.string("/", "cell") == cell.label(),
               "{}: not the cell that its name says; remove it to measure the cell anew", path);
    cell.status = file.string("/", "status");
    const Json metrics = Json::parse(file.string("/", "metrics"));
    for (const auto& [name, value] : metrics.items())
      cell.metrics.emplace_back(name, value.is_null() ? NAN : value.get<double>());
    cell.shown = file.read<float>("/shown", file.info("/shown").shape);
  }

  void write_tables() const {
    const Json json = to_json(outcome_);
    write_file_atomically(outcome_.folder + "/sweep.json", json.dump(2) + "\n");
    const std::vector<std::string> names =
        metric_names(outcome_.cells, [](const std::string&) { return true; });
    std::string csv =
        fmt::format("weights,sampler,steps,evaluations,variance,clipping,guidance,status,{}\n",
                    fmt::join(names, ","));
    for (const SweepCell& cell : outcome_.cells) {
      csv +=
          fmt::format("{},{},{},{},{},{},{},{}", cell.weights, cell.sampler, cell.steps,
                      cell.evaluations, cell.variance, cell.clipping, cell.guidance, cell.status);
      for (const std::string& name : names)
        csv += fmt::format(",{}", csv_number(metric_of(cell, name)));
      csv += "\n";
    }
    write_file_atomically(outcome_.folder + "/sweep.csv", csv);
  }

  SweepRequest request_;
  std::optional<LoadedRun> run_;
  int64_t timesteps_ = 0;
  std::string errors_;  // of x_0, in the run's folder
  SweepOutcome outcome_;
  std::string loaded_;  // the weights that run_ shows, once they are in use
  Json identity_;
  std::vector<ReferencedSpace> spaces_;
  std::vector<std::string> space_ids_;  // and what they are compared with
};

}  // namespace

std::string SweepCell::label() const {
  return fmt::format("{}, {}, {} steps, variance {}, {}{}", weights, sampler, steps, variance,
                     clipping, guidance == 1 ? "" : fmt::format(", guidance {}", guidance));
}

SweepOutcome sweep(const SweepRequest& request) { return Sweep(request).execute(); }

Json to_json(const SweepOutcome& outcome) {
  Json cells = Json::array();
  for (const SweepCell& cell : outcome.cells) {
    cells.push_back({{"weights", cell.weights},
                     {"sampler", cell.sampler},
                     {"steps", cell.steps},
                     {"evaluations", cell.evaluations},
                     {"variance", cell.variance},
                     {"clipping", cell.clipping},
                     {"guidance", cell.guidance},
                     {"status", cell.status},
                     {"metrics", metrics_json(cell)}});
    if (!cell.reason.empty()) cells.back()["reason"] = cell.reason;
  }
  return {
      {"schema", "ddpm.sweep/1"}, {"dataset", outcome.dataset},  {"step", outcome.step},
      {"seed", outcome.seed},     {"samples", outcome.samples},  {"nll_images", outcome.nll_images},
      {"cells", cells},           {"left_out", outcome.left_out}};
}

std::string sweep_table(const SweepOutcome& outcome) {
  // The parts of a distance over subsets and the moments of the values are for the files.
  const auto shown = [](const std::string& name) {
    const Metric* metric = find_metric(name);
    return name == "nll_test" || name == "sample_min" || name == "sample_max" ||
           (metric && !metric->better.empty() && name != "sample_nonfinite");
  };
  const std::vector<std::string> names = metric_names(outcome.cells, shown);
  std::vector<std::vector<std::string>> rows = {
      {"weights", "sampler", "steps", "NFE", "variance", "x_0", "guidance", "status"}};
  rows[0].insert(rows[0].end(), names.begin(), names.end());
  for (const SweepCell& cell : outcome.cells) {
    rows.push_back({cell.weights, cell.sampler, std::to_string(cell.steps),
                    std::to_string(cell.evaluations), cell.variance, cell.clipping,
                    fmt::format("{}", cell.guidance), cell.status});
    for (const std::string& name : names) {
      const double value = metric_of(cell, name);
      rows.back().push_back(std::isfinite(value) ? fmt::format("{:.4g}", value) : "-");
    }
  }
  constexpr size_t kNames = 8, kSteps = 2, kEvaluations = 3, kGuidance = 6;  // columns
  std::string text = text_table(rows, false, [](size_t column) {
    return column < kNames && column != kSteps && column != kEvaluations && column != kGuidance;
  });
  text += fmt::format("\n{} samples a cell, the same x_T in all", outcome.samples);
  if (outcome.nll_images > 0)
    text += fmt::format("; nll_test: bound of {} held-out images, all T steps", outcome.nll_images);
  text += ".\n";
  for (const std::string& line : outcome.left_out) text += "left out: " + line + ".\n";
  return text;
}

}  // namespace ddpm
