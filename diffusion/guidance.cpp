#include "diffusion/guidance.h"

#include <utility>
#include <vector>

#include "diffusion/host_values.h"
#include "framework/autograd/tape.h"
#include "framework/ops/concat.h"
#include "framework/ops/losses.h"
#include "framework/ops/reduce.h"
#include "framework/ops/timestep.h"

namespace ddpm {
namespace {

// Both, one after the other. (N, ...), (N, ...) -> (2 N, ...)
Tensor stack(const Tensor& first, const Tensor& second) {
  const int64_t rows = first.shape()[0];
  Tensor both = Tensor::empty(first.shape().with_outer(2 * rows), first.dtype(), first.device());
  both.slice(0, rows).copy_from(first);
  both.slice(rows, 2 * rows).copy_from(second);
  return both;
}

// What the prediction is, with the variance that a network may have learned beside it.
Tensor with_prediction(const Tensor& output, int64_t channels,
                       const std::function<Tensor(const Tensor& prediction)>& guided) {
  if (output.shape()[-1] == channels) return guided(output);
  const auto [prediction, variance] = split_channels(output, channels);
  return concat_channels(guided(prediction), variance);
}

}  // namespace

Model guide(ConditionalModel model, Tensor labels, int32_t no_class, double guidance, DType dtype) {
  if (guidance == 1)
    return
        [model = std::move(model), labels = std::move(labels)](const Tensor& x, const Tensor& t) {
          return model(x, t, labels.slice(0, x.shape()[0]));
        };
  const Tensor none =
      Tensor::from_host(std::vector<int32_t>(static_cast<size_t>(labels.numel()), no_class),
                        labels.shape(), labels.device());
  if (guidance == 0)
    return [model = std::move(model), none](const Tensor& x, const Tensor& t) {
      return model(x, t, none.slice(0, x.shape()[0]));
    };
  // One row of coefficients, whatever t: a sum of two terms in one pass.
  const Tensor weights = write_values({guidance, 1 - guidance}, {1, 2}, dtype, labels.device());
  const Tensor same_row = Tensor::zeros(labels.shape(), DType::kI32, labels.device());
  return [=](const Tensor& x, const Tensor& t) {
    const int64_t rows = x.shape()[0], channels = x.shape()[-1];
    const Tensor both =
        model(stack(x, x), stack(t, t), stack(labels.slice(0, rows), none.slice(0, rows)));
    Tensor unconditional = both.slice(rows, 2 * rows);
    if (unconditional.shape()[-1] != channels)
      unconditional = split_channels(unconditional, channels).first;
    return with_prediction(both.slice(0, rows), channels, [&](const Tensor& conditional) {
      return timestep_sum(weights, {conditional, unconditional}, same_row.slice(0, rows));
    });
  };
}

Model guide_by_classifier(const GaussianDiffusion& process, Model model, Classifier classifier,
                          Tensor labels, double strength) {
  if (strength == 0) return model;
  // x_0 of the guided epsilon is noise^2 / signal strength grad log p further on.
  std::vector<double> ones(static_cast<size_t>(process.timesteps()), 1), factors;
  for (int t = 0; t < process.timesteps(); ++t) {
    const double signal = process.tables().signal[t], noise = process.tables().noise[t];
    DDPM_CHECK(signal > 0,
               "guidance by a classifier: this schedule leaves nothing of x_0 at timestep {}, "
               "where a gradient has no x_0 to move",
               t);
    factors.push_back(-strength * noise * noise /
                      (signal * process.parameterization().at(process.tables(), t).x0_from_output));
  }
  const Tensor one = process.upload(ones), factor = process.upload(factors);
  return [=, model = std::move(model), classifier = std::move(classifier)](const Tensor& x_t,
                                                                           const Tensor& t) {
    // Minus grad log p; a sum, so that no image's depends on how many there are.
    Tensor x = x_t.detach();
    x.set_requires_grad(true);
    {
      Tape tape;
      tape.backward(sum(cross_entropy(classifier(x, t), labels.slice(0, x.shape()[0]))));
    }
    return with_prediction(model(x_t, t), x_t.shape()[-1], [&](const Tensor& prediction) {
      return timestep_mix(one, prediction, factor, x.grad(), t);
    });
  };
}

}  // namespace ddpm
