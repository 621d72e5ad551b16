#include "diffusion/guidance.h"

#include <utility>
#include <vector>

#include "diffusion/host_values.h"
#include "framework/ops/concat.h"
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
    const Tensor conditional = both.slice(0, rows), unconditional = both.slice(rows, 2 * rows);
    const auto mix = [&](const Tensor& c, const Tensor& u) {
      return timestep_sum(weights, {c, u}, same_row.slice(0, rows));
    };
    if (both.shape()[-1] == channels) return mix(conditional, unconditional);
    const auto [prediction, variance] = split_channels(conditional, channels);
    return concat_channels(mix(prediction, split_channels(unconditional, channels).first),
                           variance);
  };
}

}  // namespace ddpm
