#include "experiments/runner/evaluate.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/metrics/metrics.h"
#include "experiments/runner/build_info.h"
#include "experiments/runner/feature_run.h"
#include "experiments/runner/flow_likelihood_run.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/likelihood_run.h"
#include "experiments/runner/loaded_run.h"
#include "experiments/runner/result.h"
#include "experiments/runner/sample_export.h"
#include "experiments/runner/sampling.h"
#include "framework/config/suggest.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

const std::vector<std::string> kMetricGroups = {"nll", "nll_ode", "samples"};

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
                 {"metric_info", Json::object()}}) {
    if (wants_flow()) check_flow(run_.model->process, "metric nll_ode");
    // Before anything is drawn: what they name may not exist.
    if (wants(request, "samples") && run_.config->evaluation.samples > 0) {
      DDPM_CHECK(run_.config->evaluation.samples >= 2,
                 "evaluation.samples is 1: distances need at least 2 samples");
      spaces_ = feature_spaces(run_);
    }
  }

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
  bool wants_flow() const {
    return request_.metrics.empty() ? run_.config->evaluation.nll_ode : wants(request_, "nll_ode");
  }

  // Fills result_; returns the bound term by term.
  Json measure() {
    const InterruptGuard guard;
    const auto started = Clock::now();
    const EvaluationOptions& options = run_.config->evaluation;
    const bool nll = wants(request_, "nll"), samples = wants(request_, "samples");
    for (const char* metric : {"nll", "nll_ode"})
      DDPM_CHECK(request_.metrics.empty() || !wants(request_, metric) ||
                     options.test_images + options.train_images > 0,
                 "metric {}: evaluation.test_images and evaluation.train_images are 0", metric);
    DDPM_CHECK(request_.metrics.empty() || !samples || options.samples > 0,
               "metric samples: evaluation.samples is 0");
    Json likelihood = {{"schema", "ddpm.likelihood/1"}, {"split", Json::object()}};
    if (nll)
      for (const char* split : {"test", "train"}) add_bound(split, likelihood);
    if (wants_flow())
      for (const char* split : {"test", "train"}) add_flow_likelihood(split);
    if (samples && options.samples > 0) add_samples();
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

  void add_flow_likelihood(const std::string& split) {
    const FlowLikelihoodReport report = measure_flow_likelihood(run_, split, progress_);
    if (report.bits.count() == 0) return;
    const std::string name = "nll_ode_" + split;
    result_["metrics"][name] = finite_or_null(report.bits.mean());
    result_["metrics"][name + "_se"] = finite_or_null(report.bits.standard_error());
    result_["metric_info"][name] = about_flow_likelihood(run_, report);
  }

  // "nll_test" is the bound of the model's own variance.
  void record_bound(const std::string& name, const SplitLikelihood& measured) {
    const LikelihoodReport& report = measured.report;
    const std::string own = own_variance(run_);
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

  void add_samples() {
    const SamplingOptions& sampling = run_.config->sampling;
    forget_earlier_samples();
    const MeasuredSamples measured =
        measure_samples(run_, *run_.config->sampler, "", sampling.count,
                        add_references(run_, std::move(spaces_), progress_), progress_);
    write_grid(run_.folder.sample_grid(run_.info.step, sampling.weights), measured.shown,
               run_.model->image_shape, run_.dataset.levels);

    const SampleRange& range = measured.range;
    record(metric_values(range), {{"n_gen", run_.config->evaluation.samples}});
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
    explain_missing_extractor();
    for (const FeatureComparison& comparison : measured.comparisons) record(comparison);
  }

  // What an earlier evaluation had in these spaces this one may not have.
  void forget_earlier_samples() {
    result_["metric_info"].erase("fd");
    for (const auto& space : spaces_)
      for (const std::string& name : metric_names(*space)) {
        result_["metrics"].erase(name);
        result_["metric_info"].erase(name);
      }
  }

  void record(const MetricValues& values, const Json& about) {
    for (const auto& [name, value] : values) {
      result_["metrics"][name] = finite_or_null(value);
      result_["metric_info"][name] = about;
      if (const Metric* metric = find_metric(name); metric && !metric->better.empty())
        result_["metric_info"][name]["better"] = metric->better;
    }
  }

  void record(const FeatureComparison& comparison) {
    const EvaluationOptions& options = run_.config->evaluation;
    const auto known = [](int64_t count) { return count > 0 ? Json(count) : Json(); };
    const bool from_file = comparison.is_inception && !options.inception_statistics.empty();
    Json about = {{"n_gen", comparison.sample_count},
                  {"n_ref", known(comparison.reference_count)},
                  {"reference", from_file ? options.inception_statistics : options.reference},
                  {"extractor", comparison.is_inception ? "inception" : comparison.space},
                  {"weights_sha256", comparison.weights_sha256},
                  {"resize", comparison.is_inception ? comparison.space : "none"}};
    const MetricValues values = metric_values(comparison);
    record(values, about);
    for (const auto& [name, value] : values) {
      const bool is_kernel = name.starts_with("kid");
      if (!is_kernel && !name.starts_with("precision") && !name.starts_with("recall")) continue;
      Json& info = result_["metric_info"][name];
      info["n_gen"] = comparison.sample_rows;
      info["n_ref"] = comparison.reference_rows;
      if (is_kernel) info["subset_size"] = comparison.kernel->subset_size;
    }
    for (const auto& [name, why] : comparison.missing) {
      const std::string full = fmt::format(
          fmt::runtime(comparison.is_inception ? "{}[{}]" : "{}_{}"), name, comparison.space);
      result_["metric_info"][full] = {{"missing", why}};
    }
  }

  // Data that the shipped extractor was not trained on are measured without it.
  void explain_missing_extractor() {
    if (!run_.config->evaluation.extractor.empty()) return;
    const auto shipped = shipped_extractor(run_.dataset.name, run_.dataset.image_shape,
                                           run_.model->process.device());
    try {
      if (shipped) shipped->check_dataset(run_.dataset);
    } catch (const UserError& error) {
      result_["metric_info"]["fd"] = {{"missing", error.what()}};
    }
  }

  EvaluateRequest request_;
  ProgressSink* progress_;
  LoadedRun run_;
  Json result_;
  std::vector<std::unique_ptr<FeatureSpace>> spaces_;  // none: only ranges are measured
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
  return Evaluation(request).execute();
}

std::vector<std::string> sample_run(const SampleRequest& request) {
  const LoadedRun run(request.run, request.checkpoint, request.overrides);
  const InterruptGuard guard;
  const SamplingOptions& options = run.config->sampling;
  const std::string out =
      request.out.empty() ? run.folder.sample_grid(run.info.step, options.weights) : request.out;
  SampleExport file(out, options.count, run.model->image_shape, run.dataset.levels);
  stream_samples(*run.model, *run.config->sampler, run.config->seed, 0, options.count,
                 options.batch_size, request.progress,
                 [&](const std::vector<float>& samples) { file.add(samples); });
  return file.finish();
}

}  // namespace ddpm
