#include "experiments/runner/evaluate.h"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/metrics/metrics.h"
#include "experiments/runner/build_info.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/likelihood_run.h"
#include "experiments/runner/loaded_run.h"
#include "experiments/runner/result.h"
#include "experiments/runner/sampling.h"
#include "framework/config/suggest.h"
#include "framework/io/png.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

const std::vector<std::string> kMetricGroups = {"nll", "samples"};

bool wants(const EvaluateRequest& request, const char* group) {
  const std::vector<std::string>& wanted = request.metrics;
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), group) != wanted.end();
}

class Evaluation {
 public:
  explicit Evaluation(const EvaluateRequest& request)
      : request_(request),
        progress_(request.progress),
        run_(request.run, request.checkpoint, request.overrides),
        result_({{"config", run_.folder.read_json("config.json")},
                 {"metrics", Json::object()},
                 {"metric_info", Json::object()}}),
        extractor_(wants(request, "samples") ? find_extractor() : nullptr) {}

  RunStatus execute() {
    result_ = run_.folder.read_json("result.json");
    const Json likelihood = measure();
    if (!likelihood["split"].empty()) run_.folder.write_json("likelihood.json", likelihood);
    add_best();
    result_["timing"]["eval_s"] = seconds_;
    result_["evaluated"] = {
        {"step", run_.info.step}, {"weights", run_.config->sampling.weights}, {"at", utc_now()}};
    run_.folder.write_json("result.json", result_);
    return status_;
  }

  Json line() {
    measure();
    Json line = {{"step", run_.info.step},
                 {"settings", run_.settings},
                 {"evaluation", result_["metrics"]},
                 {"eval_seconds", seconds_}};
    if (result_.contains("reason")) line["reason"] = result_["reason"];
    return line;
  }

 private:
  // Fills result_; returns the bound term by term.
  Json measure() {
    const InterruptGuard guard;
    const auto started = Clock::now();
    const EvaluationOptions& options = run_.config->evaluation;
    const bool nll = wants(request_, "nll"), samples = wants(request_, "samples");
    DDPM_CHECK(request_.metrics.empty() || !nll || options.test_images + options.train_images > 0,
               "metric nll: evaluation.test_images and evaluation.train_images are 0");
    DDPM_CHECK(request_.metrics.empty() || !samples || options.samples > 0,
               "metric samples: evaluation.samples is 0");
    Json likelihood = {{"schema", "ddpm.likelihood/1"}, {"split", Json::object()}};
    if (nll)
      for (const char* split : {"test", "train"}) add_bound(split, likelihood);
    if (samples && options.samples > 0) add_samples(options);
    seconds_ = std::chrono::duration<double>(Clock::now() - started).count();
    return likelihood;
  }

  // The best of the evaluations during training and this one, for every metric that has a better
  // side: papers report it, although it is the luckier number.
  void add_best() {
    std::vector<Json> lines = run_.folder.evaluations(run_.settings);
    std::erase_if(lines, [&](const Json& line) { return line["step"] == run_.info.step; });
    if (lines.empty()) return;
    lines.push_back({{"step", run_.info.step}, {"evaluation", result_["metrics"]}});
    const Json infos = result_["metric_info"];
    for (const auto& [name, info] : infos.items()) {
      if (!info.contains("better") || info.contains("best_of")) continue;
      if (name.starts_with("sample_")) continue;  // whether they are images, not how good
      const double sign = info["better"] == "lower" ? 1 : -1;
      const Json* best = nullptr;
      const auto value = [&](const Json& line) { return line["evaluation"].value(name, Json()); };
      int64_t count = 0;
      for (const Json& line : lines) {
        if (!value(line).is_number()) continue;
        ++count;
        if (!best || sign * value(line).get<double>() < sign * value(*best).get<double>())
          best = &line;
      }
      if (count < 2) continue;
      result_["metrics"][name + "_best"] = value(*best);
      Json& best_info = result_["metric_info"][name + "_best"] = info;
      best_info["best_of"] = count;
      best_info["step"] = (*best)["step"];
    }
  }

  void add_bound(const std::string& name, Json& likelihood) {
    const SplitLikelihood measured = measure_likelihood(run_, name, progress_);
    if (measured.report.prior.count() == 0) return;
    record_bound(name, measured);
    likelihood["split"][name] = to_json(measured);
  }

  // "nll_test" is the model's own bound: its variance's where it is learned, else the configured.
  void record_bound(const std::string& name, const SplitLikelihood& measured) {
    const LikelihoodReport& report = measured.report;
    const std::string own = run_.model->process.variance().learned() ? "model" : variance_name();
    const auto put = [&](const std::string& metric, double value) {
      result_["metrics"][metric] = finite_or_null(value);
    };
    for (const VariationalBound& bound : report.bounds) {
      const std::string suffix = bound.clip_denoised ? "" : "_unclipped";
      if (bound.variance != "model")
        put("nll_" + name + "_" + bound.variance + suffix, bound.total.mean());
      if (bound.variance != own) continue;
      put("nll_" + name + suffix, bound.total.mean());
      put("nll_" + name + suffix + "_se", bound.total.standard_error());
      if (!bound.clip_denoised) continue;
      put("rate_" + name, bound.rate.mean());
      put("rate_" + name + "_se", bound.rate.standard_error());
      put("distortion_" + name, bound.distortion.mean());
      put("distortion_" + name + "_se", bound.distortion.standard_error());
    }
    put("prior_" + name, report.prior.mean());
    put("rmse_" + name, report.rmse(0));
    result_["metric_info"]["nll_" + name] = {
        {"better", "lower"},
        {"unit", "bits/dim"},
        {"is", "variational bound on the negative log likelihood"},
        {"n", report.prior.count()},
        {"timesteps_per_image", run_.config->evaluation.timesteps_per_image},
        {"estimator", estimator_json(measured)},
        {"clip_denoised", true}};
  }

  std::string variance_name() const {
    const Json& variance = result_["config"]["diffusion"]["variance"];
    return variance.is_object() ? variance["name"].get<std::string>() : variance.get<std::string>();
  }

  void add_samples(const EvaluationOptions& options) {
    const SamplingOptions& sampling = run_.config->sampling;
    const Shape& image = run_.model->image_shape;
    const std::vector<float> samples =
        draw_samples(*run_.model, *run_.config->sampler, run_.config->seed, 0, options.samples,
                     sampling.batch_size, progress_);
    const int64_t shown = std::min(sampling.count, options.samples);
    write_grid(run_.folder.sample_grid(run_.info.step, sampling.weights),
               {samples.begin(), samples.begin() + shown * image.numel()}, image,
               run_.dataset.levels);

    const SampleRange range = sample_range(samples, value_bound(run_.dataset));
    record(metric_values(range), {{"n_gen", options.samples}});
    if (range.diverged()) {
      status_ = RunStatus::kDiverged;
      result_["status"] = name_of(status_);
      result_["reason"] = fmt::format(
          "the samples leave the range of the data: {:.1f} % of the values lie beyond {} times its "
          "bound, from {:.3g} to {:.3g}",
          100 * range.far_outside, kDivergedReach, range.min, range.max);
      result_["diverged_at_step"] = run_.info.step;
      return;
    }
    if (!extractor_) return;
    const FeatureDistances::Result distances =
        FeatureDistances(*extractor_, run_.dataset).measure(samples);
    record(metric_values(distances), {{"n_gen", distances.sample_count},
                                      {"n_ref", distances.reference_count},
                                      {"reference", distances.reference},
                                      {"extractor", distances.extractor},
                                      {"weights_sha256", distances.weights_sha256},
                                      {"resize", "none"}});
  }

  void record(const MetricValues& values, const Json& about) {
    for (const auto& [name, value] : values) {
      result_["metrics"][name] = finite_or_null(value);
      result_["metric_info"][name] = about;
      if (const Metric* metric = find_metric(name); metric && !metric->better.empty())
        result_["metric_info"][name]["better"] = metric->better;
    }
  }

  // The extractor that the configuration names, or the one shipped for the data. Data that the
  // shipped one was not trained on are measured without it, and the result says why.
  std::unique_ptr<FeatureExtractor> find_extractor() {
    const EvaluationOptions& options = run_.config->evaluation;
    const Device device = run_.model->process.device();
    if (options.samples == 0) return nullptr;
    if (!options.extractor.empty()) {
      auto extractor = std::make_unique<FeatureExtractor>(Hdf5Reader(options.extractor), device);
      extractor->check_dataset(run_.dataset);
      return extractor;
    }
    try {
      auto extractor = shipped_extractor(run_.dataset.name, run_.dataset.image_shape, device);
      if (extractor) extractor->check_dataset(run_.dataset);
      return extractor;
    } catch (const UserError& error) {
      result_["metric_info"]["fd"] = {{"missing", error.what()}};
      return nullptr;
    }
  }

  EvaluateRequest request_;
  ProgressSink* progress_;
  LoadedRun run_;
  Json result_;
  std::unique_ptr<FeatureExtractor> extractor_;  // null: only ranges are measured
  RunStatus status_ = RunStatus::kCompleted;
  double seconds_ = 0;
};

}  // namespace

Json measure(const EvaluateRequest& request) { return Evaluation(request).line(); }

RunStatus evaluate(const EvaluateRequest& request) {
  for (const std::string& name : request.metrics)
    DDPM_CHECK(std::find(kMetricGroups.begin(), kMetricGroups.end(), name) != kMetricGroups.end(),
               "unknown metric '{}'; known: {}.{}", name, fmt::join(kMetricGroups, ", "),
               did_you_mean(name, kMetricGroups));
  try {
    return Evaluation(request).execute();
  } catch (const Interrupted& stop) {
    spdlog::warn("{}", stop.what());
    return RunStatus::kInterrupted;
  }
}

std::vector<std::string> sample_run(const SampleRequest& request) {
  const LoadedRun run(request.run, request.checkpoint, request.overrides);
  const InterruptGuard guard;
  const SamplingOptions& options = run.config->sampling;
  const std::vector<float> samples =
      draw_samples(*run.model, *run.config->sampler, run.config->seed, 0, options.count,
                   options.batch_size, request.progress);
  const Shape& image = run.model->image_shape;
  const int levels = run.dataset.levels;
  const std::string out =
      request.out.empty() ? run.folder.sample_grid(run.info.step, options.weights) : request.out;
  if (out.ends_with(".png")) {
    DDPM_CHECK(write_grid(out, samples, image, levels),
               "{}: data of shape {} have no picture; name a folder instead", out, image);
    return {out};
  }
  std::filesystem::create_directories(out);
  std::vector<std::string> written;
  for (int64_t i = 0; i < options.count; ++i) {
    const auto begin = samples.begin() + i * image.numel();
    written.push_back(fmt::format("{}/{:06}.png", out, i));
    DDPM_CHECK(write_grid(written.back(), {begin, begin + image.numel()}, image, levels),
               "{}: data of shape {} have no picture", out, image);
  }
  return written;
}

}  // namespace ddpm
