#include "experiments/runner/evaluate.h"

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>

#include "diffusion/likelihood.h"
#include "experiments/metrics/metrics.h"
#include "experiments/runner/build_info.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/memory_advice.h"
#include "experiments/runner/result.h"
#include "experiments/runner/run_folder.h"
#include "experiments/runner/sampling.h"
#include "experiments/runner/trainer.h"
#include "framework/io/png.h"
#include "framework/ops/image_batch.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

bool may_override(const std::string& key) {
  return key.starts_with("evaluation.") || key.starts_with("sampling.") || key == "seed" ||
         key == "device" || key == "precision" || key == "threads" || key == "cpu.winograd";
}

// A finished run with one set of its weights, ready to draw and to be measured.
class LoadedRun {
 public:
  LoadedRun(const std::string& path, const std::string& checkpoint,
            const std::vector<std::string>& overrides)
      : folder(RunFolder::open(path)),
        recorded_(with_defaults(folder.read_json("config.json"), folder.file("config.json"))) {
    ConfigSource source = ConfigSource::parse_text(recorded_.dump(2), folder.file("config.json"));
    for (const std::string& assignment : overrides) source.set(assignment);
    const Config reader(std::move(source));
    config = std::make_unique<ExperimentConfig>(reader);
    reader.finish();
    const Json& resolved = reader.resolved();
    settings = config_hash({{"evaluation", resolved["evaluation"]},
                            {"sampling", resolved["sampling"]},
                            {"seed", resolved["seed"]},
                            {"stream", resolved["stream"]}});
    for (const std::string& key : differing_keys(recorded_, resolved))
      DDPM_CHECK(may_override(key),
                 "--set {}: only evaluation.*, sampling.*, seed, device, precision, threads and "
                 "cpu.winograd can be changed for a finished run",
                 key);
    apply_cpu_options(*config);
    const DeviceChoice device = choose_device(config->device, config->precision);
    announce(device);
    dataset = config->data->load();
    model = std::make_unique<DiffusionModel>(*config, dataset, device.device);
    const std::string file = checkpoint.empty() ? find_latest(folder.checkpoints()) : checkpoint;
    DDPM_CHECK(!file.empty(), "{}: the run has no checkpoint yet", path);
    info = load_weights(file, config->sampling.weights, model->parameters);
    const Json trained =
        with_defaults(Json::parse(info.config_json, nullptr, false), file + " (config_json)");
    for (const char* part : {"model", "data"})
      DDPM_CHECK(trained[part] == recorded_[part], "{}: its '{}' is not that of the run {}", file,
                 part, path);
  }

  RunFolder folder;
  std::unique_ptr<ExperimentConfig> config;
  Dataset dataset;
  std::unique_ptr<DiffusionModel> model;
  CheckpointInfo info;
  std::string settings;  // a digest of what evaluations must agree in to be compared

 private:
  Json recorded_;
};

Json to_json(const LikelihoodReport& report) {
  Json bounds = Json::array();
  for (const VariationalBound& bound : report.bounds) {
    Json terms = Json::array();
    for (const Estimate& term : bound.terms) terms.push_back(finite_or_null(term.mean()));
    bounds.push_back({{"variance", bound.variance},
                      {"total", finite_or_null(bound.total.mean())},
                      {"total_se", finite_or_null(bound.total.standard_error())},
                      {"rate", finite_or_null(bound.rate.mean())},
                      {"distortion", finite_or_null(bound.distortion.mean())},
                      {"terms", terms}});
  }
  Json rmse = Json::array();
  for (size_t t = 0; t < report.x0_squared_error.size(); ++t)
    rmse.push_back(finite_or_null(report.rmse(static_cast<int>(t))));
  return {{"images", report.prior.count()},
          {"bounds", bounds},
          {"prior", finite_or_null(report.prior.mean())},
          {"rmse", rmse}};
}

class Evaluation {
 public:
  explicit Evaluation(const EvaluateRequest& request)
      : progress_(request.progress),
        run_(request.run, request.checkpoint, request.overrides),
        result_({{"config", run_.folder.read_json("config.json")},
                 {"metrics", Json::object()},
                 {"metric_info", Json::object()}}),
        extractor_(find_extractor()) {}

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
    Json likelihood = {{"schema", "ddpm.likelihood/1"}, {"split", Json::object()}};
    add_bound("test", run_.dataset.test, options.test_images, likelihood);
    add_bound("train", run_.dataset.train, options.train_images, likelihood);
    if (options.samples > 0) add_samples(options);
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

  // The bound of the first `limit` images of a split, under every variance.
  void add_bound(const std::string& name, const Split& split, int64_t limit, Json& likelihood) {
    const int64_t count = std::min(limit, split.count);
    if (count == 0) return;
    const EvaluationOptions& options = run_.config->evaluation;
    const DiffusionModel& model = *run_.model;
    const Tensor images = upload_images(split, model.image_shape, model.process.device());
    const auto rows = [&](int64_t begin, int64_t size) {
      std::vector<int32_t> indices(static_cast<size_t>(size));
      std::iota(indices.begin(), indices.end(), static_cast<int32_t>(begin));
      return gather_images(images, Tensor::from_host(indices, {size}, images.device()), {},
                           run_.dataset.levels, model.process.dtype());
    };
    // Noise of held-out and training images comes from different streams.
    LikelihoodOptions likelihood_options{
        .evaluations_per_image = static_cast<int>(options.timesteps_per_image),
        .seed = run_.config->seed + (name == "test" ? 0 : 1)};
    auto bound = std::make_unique<Likelihood>(model.process, model.inference(), likelihood_options);
    if (progress_) progress_->begin("bound of " + name + " images", count);
    try {
      for (int64_t begin = 0; begin < count; begin += options.batch_size) {
        const int64_t size = std::min(options.batch_size, count - begin);
        bound->add(rows(begin, size), begin);
        if (progress_) progress_->update(begin + size);
        if (interrupt_signal()) fail("the evaluation was interrupted; nothing was written");
      }
    } catch (const memory::OutOfMemory& error) {
      bound.reset();
      likelihood_options.evaluations_per_image = 2;
      fail_with_advice(
          error, "evaluation.batch_size", std::min(options.batch_size, count), [&](int64_t batch) {
            Likelihood(model.process, model.inference(), likelihood_options).add(rows(0, batch), 0);
          });
    }
    if (progress_) progress_->end();
    record_bound(name, bound->report(), options);
    likelihood["split"][name] = to_json(bound->report());
  }

  void record_bound(const std::string& name, const LikelihoodReport& report,
                    const EvaluationOptions& options) {
    // "nll_test" is the model's own bound: its variance's where it is learned, else the configured.
    const Variance& variance = run_.model->process.variance();
    for (const VariationalBound& bound : report.bounds) {
      const bool own = bound.variance == (variance.learned() ? "model" : variance_name());
      const auto put = [&](const std::string& metric, double value) {
        result_["metrics"][metric] = finite_or_null(value);
      };
      if (bound.variance != "model") put("nll_" + name + "_" + bound.variance, bound.total.mean());
      if (!own) continue;
      put("nll_" + name, bound.total.mean());
      put("nll_" + name + "_se", bound.total.standard_error());
      put("rate_" + name, bound.rate.mean());
      put("distortion_" + name, bound.distortion.mean());
    }
    result_["metrics"]["rmse_" + name] = finite_or_null(report.rmse(0));
    result_["metric_info"]["nll_" + name] = {
        {"better", "lower"},
        {"unit", "bits/dim"},
        {"is", "variational bound on the negative log likelihood"},
        {"n", report.prior.count()},
        {"timesteps_per_image", options.timesteps_per_image},
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

  ProgressSink* progress_;
  LoadedRun run_;
  Json result_;
  std::unique_ptr<FeatureExtractor> extractor_;  // null: only ranges are measured
  RunStatus status_ = RunStatus::kCompleted;
  double seconds_ = 0;
};

}  // namespace

Json measure(const EvaluateRequest& request) { return Evaluation(request).line(); }

RunStatus evaluate(const EvaluateRequest& request) { return Evaluation(request).execute(); }

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
