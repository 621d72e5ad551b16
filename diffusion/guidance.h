// Guidance: a Model of one class per image, whose score is that of
//   p(x_t) p(class | x_t)^guidance
// What a network predicts, x_0, epsilon or v, is linear in the score for a given x_t, so that all
// of them are guided alike. At guidance 1 it draws from the class, at 0 from all of them.
#pragma once

#include <functional>

#include "diffusion/process.h"

namespace ddpm {

// x_t (N, ..., C), t (N), labels (N) i32 -> (N, ..., output channels)
using ConditionalModel =
    std::function<Tensor(const Tensor& x_t, const Tensor& t, const Tensor& labels)>;

// Classifier-free (Ho & Salimans 2021): of a network that knows classes, and was at times not told
// them,
//   output = unconditional + guidance * (conditional - unconditional)
// at the cost of one batch where guidance is 0 or 1; at any other value both are computed in one
// batch of twice the size. (The paper's w is guidance - 1.) A learned variance is the conditional
// one.
//
// `labels` (M) i32 lies on the device of the batches, which have at most M rows, of type `dtype`,
// and whose row n is of class labels[n] when the network is evaluated; `no_class` is what the
// network knows "none" as.
Model guide(ConditionalModel model, Tensor labels, int32_t no_class, double guidance, DType dtype);

// By a classifier of noisy images, x_t (N, ..., C), t (N) -> logits (N, K) (Dhariwal & Nichol 2021,
// section 4; Song et al. 2021b, eq. 14): with any network,
//   epsilon = model's - strength noise grad log p(class | x_t)
// through the tape, which is `guidance` of an unconditional network, and guidance - 1 of a
// conditional one. The paper's DDPM sampler adds strength Sigma grad to the mean; this adds
// strength beta / sqrt(alpha) grad, which is as much where steps are short. Between timesteps the
// factor of the gradient is linear. `process` must outlive the model; UserError where a timestep
// has no signal.
using Classifier = std::function<Tensor(const Tensor& x_t, const Tensor& t)>;
Model guide_by_classifier(const GaussianDiffusion& process, Model model, Classifier classifier,
                          Tensor labels, double strength);

}  // namespace ddpm
