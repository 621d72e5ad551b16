// Classifier-free guidance (Ho & Salimans 2021): a network that knows classes, and was at times not
// told them, as a Model of one class per image.
//
//   output = unconditional + guidance * (conditional - unconditional)
//
// At guidance 1 the conditional model, at 0 the unconditional one, each at the cost of one batch;
// at any other value both are computed in one batch of twice the size. (The paper's w is guidance -
// 1.) What a network predicts, x_0, epsilon or v, depends on it linearly for a given x_t, so that
// all of them are guided alike; by Bayes' rule it is the score of p(x_t) p(class | x_t)^guidance. A
// learned variance is the conditional one.
#pragma once

#include <functional>

#include "diffusion/process.h"

namespace ddpm {

// x_t (N, ..., C), t (N), labels (N) i32 -> (N, ..., output channels)
using ConditionalModel =
    std::function<Tensor(const Tensor& x_t, const Tensor& t, const Tensor& labels)>;

// `labels` (M) i32 lies on the device of the batches, which have at most M rows, of type `dtype`,
// and whose row n is of class labels[n] when the network is evaluated; `no_class` is what the
// network knows "none" as.
Model guide(ConditionalModel model, Tensor labels, int32_t no_class, double guidance, DType dtype);

}  // namespace ddpm
