// Per-sample losses, (N, ...) -> (N): means over the elements of a sample, so that they do not
// depend on the image size. Likelihood terms are in bits per dimension (nats / ln 2).
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

// mean (prediction - target)^2
Tensor squared_error(const Tensor& prediction, const Tensor& target);

// KL(N(mean1, exp(log_variance1)) || N(mean2, exp(log_variance2))), bits per dimension
//   = 1/2 (lv2 - lv1 - 1 + exp(lv1 - lv2) + (mean1 - mean2)^2 exp(-lv2)) / ln 2
// Differentiable in mean2 and log_variance2; the first distribution is data and must not require a
// gradient.
Tensor normal_kl(const Tensor& mean1, const Tensor& log_variance1, const Tensor& mean2,
                 const Tensor& log_variance2);

// -log2 of the probability that N(mean, exp(log_variance)) gives to the bin of x, DDPM eq. 13. The
// data are `levels` equally spaced values on [-1, 1]; the outermost bins reach to infinity. The
// normal CDF is the paper's code's tanh approximation and probabilities are floored at 1e-12.
Tensor discretized_normal_nll(const Tensor& x, const Tensor& mean, const Tensor& log_variance,
                              int levels);

// -log2 of the density of N(mean, exp(log_variance)) at x: the decoder of continuous data.
Tensor normal_nll(const Tensor& x, const Tensor& mean, const Tensor& log_variance);

// -ln softmax(logits)[label]: logits (N, K), labels (N) i32 -> (N), in nats
Tensor cross_entropy(const Tensor& logits, const Tensor& labels);

DDPM_KERNEL(void squared_error_forward(const Tensor& prediction, const Tensor& target, Tensor& y));
DDPM_KERNEL(void squared_error_backward(const Tensor& prediction, const Tensor& target,
                                        const Tensor& dy, Tensor& dprediction));
DDPM_KERNEL(void normal_kl_forward(const Tensor& mean1, const Tensor& log_variance1,
                                   const Tensor& mean2, const Tensor& log_variance2, Tensor& y));
DDPM_KERNEL(void normal_kl_backward(const Tensor& mean1, const Tensor& log_variance1,
                                    const Tensor& mean2, const Tensor& log_variance2,
                                    const Tensor& dy, Tensor& dmean2, Tensor& dlog_variance2));
DDPM_KERNEL(void discretized_normal_nll_forward(const Tensor& x, const Tensor& mean,
                                                const Tensor& log_variance, int levels, Tensor& y));
DDPM_KERNEL(void discretized_normal_nll_backward(const Tensor& x, const Tensor& mean,
                                                 const Tensor& log_variance, int levels,
                                                 const Tensor& dy, Tensor& dmean,
                                                 Tensor& dlog_variance));
DDPM_KERNEL(void normal_nll_forward(const Tensor& x, const Tensor& mean, const Tensor& log_variance,
                                    Tensor& y));
DDPM_KERNEL(void normal_nll_backward(const Tensor& x, const Tensor& mean,
                                     const Tensor& log_variance, const Tensor& dy, Tensor& dmean,
                                     Tensor& dlog_variance));
DDPM_KERNEL(void cross_entropy_forward(const Tensor& logits, const Tensor& labels, Tensor& y));
DDPM_KERNEL(void cross_entropy_backward(const Tensor& logits, const Tensor& labels,
                                        const Tensor& dy, Tensor& dlogits));

}  // namespace ddpm
