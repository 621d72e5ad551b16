#include "experiments/runner/flow_likelihood_run.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "experiments/runner/interrupt.h"
#include "experiments/runner/memory_advice.h"
#include "experiments/runner/result.h"
#include "experiments/runner/saved_pass.h"

namespace ddpm {
namespace {

using Json = nlohmann::ordered_json;

FlowLikelihoodOptions options_of(const LoadedRun& run, bool is_test) {
  const EvaluationOptions& o = run.config->evaluation;
  // Noise of held-out and training images comes from different streams.
  return {.ode = o.ode,
          .probes = o.ode_probes,
          .uniform = o.ode_dequantisation == "uniform",
          .seed = run.config->seed + (is_test ? 0 : 1)};
}

}  // namespace

FlowLikelihoodReport measure_flow_likelihood(const LoadedRun& run, const std::string& split_name,
                                             ProgressSink* progress) {
  const bool is_test = split_name == "test";
  const EvaluationOptions& options = run.config->evaluation;
  const Split& split = is_test ? run.dataset.test : run.dataset.train;
  const int64_t count = std::min(is_test ? options.test_images : options.train_images, split.count);
  if (count == 0) return {};
  Tensor labels = run.model->class_labels(std::min(options.batch_size, count));
  const Model network = run.model->inference(labels);
  const FlowLikelihoodOptions flow_options = options_of(run, is_test);
  auto likelihood = std::make_unique<FlowLikelihood>(run.model->process, network, flow_options);
  const SavedPass saved(run, split_name + "_ode",
                        {{"count", count},
                         {"atol", options.ode.atol},
                         {"rtol", options.ode.rtol},
                         {"probes", options.ode_probes},
                         {"dequantisation", options.ode_dequantisation}});
  std::vector<double> state = likelihood->state();
  const int64_t done = saved.load(state);
  likelihood->restore(state);
  if (done == count) return likelihood->report();
  // How many evaluations there will be is not known: progress is in hundredths of an image.
  if (progress)
    progress->begin("flow of " + split_name + " images, hundredths", 100 * count, 100 * done);
  try {
    for (int64_t begin = done; begin < count; begin += options.batch_size) {
      const int64_t size = std::min(options.batch_size, count - begin);
      if (labels) run.model->write_labels(std::span(split.labels).subspan(begin, size), labels);
      likelihood->add(model_images(run, split, begin, size), begin, [&](double share) {
        if (progress)
          progress->update(100 * begin +
                           static_cast<int64_t>(share * 100 * static_cast<double>(size)));
        if (interrupt_signal())
          throw Interrupted(
              fmt::format("stopped: the flow's likelihood of {} of {} {} images is "
                          "saved; the same command goes on there",
                          begin, count, split_name));
      });
      saved.save(likelihood->state(), begin + size);
    }
  } catch (const memory::OutOfMemory& error) {
    likelihood.reset();
    fail_with_advice(error, "evaluation.batch_size", std::min(options.batch_size, count),
                     [&](int64_t batch) {
                       FlowLikelihood(run.model->process, network, flow_options)
                           .add(model_images(run, split, 0, batch), 0);
                     });
  }
  if (progress) progress->end();
  return likelihood->report();
}

Json about_flow_likelihood(const LoadedRun& run, const FlowLikelihoodReport& report) {
  const EvaluationOptions& o = run.config->evaluation;
  const bool exact = report.probe_variance.count() == 0;
  const bool continuous = run.dataset.levels == 0;
  const bool uniform = o.ode_dequantisation == "uniform";
  return {{"better", "lower"},
          {"unit", "bits/dim"},
          {"is", "negative log likelihood under the probability flow"},
          {"n", report.bits.count()},
          {"standard_error", "over images, with one draw of the noise each"},
          {"dequantisation", o.ode_dequantisation},
          {"bias", uniform && continuous ? "none: a density at the noise of the first timestep"
                   : uniform ? "an upper bound: levels are spread uniformly over their width"
                             : "an upper bound: noise of the first timestep is added, and the "
                               "decoder of the variational bound takes it away"},
          {"divergence", exact ? "exact" : "hutchinson"},
          {"probes", exact ? Json() : Json(o.ode_probes)},
          {"hutchinson_se", finite_or_null(report.probe_error())},
          {"atol", o.ode.atol},
          {"rtol", o.ode.rtol},
          {"evaluations_per_image", finite_or_null(report.evaluations.mean())}};
}

}  // namespace ddpm
