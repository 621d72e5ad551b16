#include "experiments/runner/likelihood_run.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "experiments/runner/interrupt.h"
#include "experiments/runner/memory_advice.h"
#include "experiments/runner/result.h"
#include "experiments/runner/saved_pass.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

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
    // Not the batch size and the thread count: a report does not depend on them.
    const SavedPass saved(
        run, split_name,
        {{"count", count}, {"evaluations_per_image", likelihood_options.evaluations_per_image}});
    std::vector<double> state = likelihood->state();
    const int64_t done = saved.load(state);
    likelihood->restore(state);
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
        saved.save(likelihood->state(), begin + size);
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
