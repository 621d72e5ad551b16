// Progressive coding (DDPM section 4.3, algorithms 3 and 4): the sender knows x_0 and sends x_T,
// x_{T-1}, .., x_1, x_0, each drawn from q given x_0 and the one before; the receiver knows the
// reverse process, and shows its estimate of x_0 after each. Sending a draw from q to one who
// expects p takes KL(q || p) bits, up to the overhead of minimal random coding, which is left out
// as in the paper: these are code lengths that can be approached, not a file.
#pragma once

#include <functional>
#include <vector>

#include "diffusion/process.h"

namespace ddpm {

struct ReceivedStep {
  int32_t t;                 // x_t has arrived; -1: x_0 itself
  std::vector<double> bits;  // (N): per dimension, spent until now
  Tensor x0;                 // the receiver's estimate, at t = -1 the image. (N, .., C)
};

// Of the images x0, whose noise is that of images first_image .. of the seed; calls `receive` T + 1
// times, t = T - 1 first. The variance is the model's own.
void code_progressively(const GaussianDiffusion& process, const Model& model, const Tensor& x0,
                        uint64_t seed, int64_t first_image, bool clip_denoised,
                        const std::function<void(const ReceivedStep&)>& receive);

}  // namespace ddpm
