#include "experiments/runner/likelihood_run.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "experiments/runner/interrupt.h"
#include "experiments/runner/memory_advice.h"
#include "experiments/runner/result.h"
#include "framework/io/hdf5_file.h"
#include "framework/io/sha256.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "ddpm.likelihood_pass";

// Of everything that a report depends on. Not the batch size and the thread count: it does not.
std::string pass_key(const LoadedRun& run, const std::string& split, int64_t count,
                     const LikelihoodOptions& options) {
  const Json all = {{"format", kFormat},
                    {"run", identity_json(run)},
                    {"split", split},
                    {"count", count},
                    {"evaluations_per_image", options.evaluations_per_image}};
  return sha256_hex(all.dump());
}

// The file in which a pass is saved.
class SavedPass {
 public:
  SavedPass(const LoadedRun& run, const std::string& split, std::string key)
      : key_(std::move(key)),
        path_(
            fmt::format("{}/{}-{}.h5", run.folder.file("likelihood"), split, key_.substr(0, 12))) {}

  // The number of images that are already in `likelihood`.
  int64_t load(Likelihood& likelihood) const {
    if (!std::filesystem::exists(path_)) return 0;
    const Hdf5Reader file(path_);
    DDPM_CHECK(file.has_attribute("/", "format") && file.string("/", "format") == kFormat &&
                   file.string("/", "key") == key_,
               "{}: not the pass that its name says; remove it to start the pass anew", path_);
    const int64_t size = static_cast<int64_t>(likelihood.state().size());
    likelihood.restore(file.read<double>("/state", {size}));
    return file.integer("/", "images");
  }

  void save(const Likelihood& likelihood, int64_t images) const {
    std::filesystem::create_directories(std::filesystem::path(path_).parent_path());
    const std::vector<double> state = likelihood.state();
    Hdf5Writer file(path_);
    file.array<double>("/state", {static_cast<int64_t>(state.size())}, state);
    file.set_string("/", "format", kFormat);
    file.set_string("/", "key", key_);
    file.set_integer("/", "images", images);
    file.commit();
  }

 private:
  std::string key_, path_;
};

Json bounds_json(const LikelihoodReport& report, bool clip) {
  Json list = Json::array();
  for (const VariationalBound& bound : report.bounds) {
    if (bound.clip_denoised != clip) continue;
    Json terms = Json::array(), errors = Json::array();
    for (const Estimate& term : bound.terms) {
      terms.push_back(finite_or_null(term.mean()));
      errors.push_back(finite_or_null(term.standard_error()));
    }
    list.push_back({{"variance", bound.variance},
                    {"total", finite_or_null(bound.total.mean())},
                    {"total_se", finite_or_null(bound.total.standard_error())},
                    {"rate", finite_or_null(bound.rate.mean())},
                    {"rate_se", finite_or_null(bound.rate.standard_error())},
                    {"distortion", finite_or_null(bound.distortion.mean())},
                    {"distortion_se", finite_or_null(bound.distortion.standard_error())},
                    {"terms", terms},
                    {"terms_se", errors}});
  }
  return list;
}

Json rmse_json(const LikelihoodReport& report, bool clip) {
  Json list = Json::array();
  for (size_t t = 0; t < report.reconstructions[0].squared_error.size(); ++t)
    list.push_back(finite_or_null(report.rmse(static_cast<int>(t), clip)));
  return list;
}

}  // namespace

SplitLikelihood measure_likelihood(const LoadedRun& run, const std::string& split_name,
                                   ProgressSink* progress) {
  const bool is_test = split_name == "test";
  const EvaluationOptions& options = run.config->evaluation;
  const Split& split = is_test ? run.dataset.test : run.dataset.train;
  const int64_t count = std::min(is_test ? options.test_images : options.train_images, split.count);
  // Noise of held-out and training images comes from different streams.
  LikelihoodOptions likelihood_options{
      .evaluations_per_image = static_cast<int>(options.timesteps_per_image),
      .seed = run.config->seed + (is_test ? 0 : 1)};
  Tensor labels = run.model->class_labels(std::min(options.batch_size, count));
  const Model network = run.model->inference(labels);
  auto likelihood = std::make_unique<Likelihood>(run.model->process, network, likelihood_options);
  if (count > 0) {
    const SavedPass saved(run, split_name, pass_key(run, split_name, count, likelihood_options));
    const int64_t done = saved.load(*likelihood);
    const int64_t evaluations = static_cast<int64_t>(likelihood->strata().size()) - 1;
    if (progress && done < count)
      progress->begin("bound of " + split_name + " images", count * evaluations,
                      done * evaluations);
    try {
      for (int64_t begin = done; begin < count; begin += options.batch_size) {
        const int64_t size = std::min(options.batch_size, count - begin);
        int64_t evaluated = begin * evaluations;
        if (labels) run.model->write_labels(std::span(split.labels).subspan(begin, size), labels);
        likelihood->add(model_images(run, split, begin, size), begin, [&] {
          if (progress) progress->update(evaluated += size);
          if (interrupt_signal())
            throw Interrupted(fmt::format(
                "stopped: the bound of {} of {} {} images is saved; the same command goes on there",
                begin, count, split_name));
        });
        saved.save(*likelihood, begin + size);
      }
    } catch (const memory::OutOfMemory& error) {
      likelihood.reset();
      likelihood_options.evaluations_per_image = std::min(2, run.model->process.timesteps());
      fail_with_advice(error, "evaluation.batch_size", std::min(options.batch_size, count),
                       [&](int64_t batch) {
                         Likelihood(run.model->process, network, likelihood_options)
                             .add(model_images(run, split, 0, batch), 0);
                       });
    }
    if (progress && done < count) progress->end();
  }
  return {likelihood->report(), likelihood->strata()};
}

std::string own_variance(const LoadedRun& run) {
  return run.model->process.variance().learned() ? "model" : run.variance_name;
}

Json estimator_json(const SplitLikelihood& likelihood) {
  const size_t evaluations = likelihood.strata.size() - 1;
  const bool all = evaluations == likelihood.report.reconstructions[0].squared_error.size();
  return {{"evaluations_per_image", evaluations},
          {"strata", all ? Json("every timestep") : Json(likelihood.strata)},
          {"bias", all ? "none: every term of every image is evaluated"
                       : "none for bounds, rates and terms: t = 0 is evaluated for every image, of "
                         "each stratum one t, drawn uniformly, that counts as often as the stratum "
                         "is long. An RMSE is the root of an unbiased mean, so a little too small"},
          {"standard_error", all ? "over images, each with one draw of the noise at every t"
                                 : "over images: it includes the choice of timesteps"}};
}

Json to_json(const SplitLikelihood& likelihood) {
  const LikelihoodReport& report = likelihood.report;
  return {
      {"images", report.prior.count()},
      {"estimator", estimator_json(likelihood)},
      {"bounds", bounds_json(report, true)},
      {"prior", finite_or_null(report.prior.mean())},
      {"rmse", rmse_json(report, true)},
      {"rmse_scale", report.rmse_scale},
      {"unclipped", {{"bounds", bounds_json(report, false)}, {"rmse", rmse_json(report, false)}}}};
}

}  // namespace ddpm
