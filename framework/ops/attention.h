// Scaled dot-product attention over T positions, per head of C / heads channels:
//
//   P = softmax(Q K^T / sqrt(C / heads)) over the keys;  y = P V
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

// query, key, value (N, T, C) -> (N, T, C)
Tensor attention(const Tensor& query, const Tensor& key, const Tensor& value, int heads);

// `weights` is P, (N, heads, T, T), of the type of query; an empty tensor means that it need not be
// kept. Scores, softmax and its gradient are computed in the accumulator type.
DDPM_KERNEL(void attention_forward(const Tensor& query, const Tensor& key, const Tensor& value,
                                   int heads, Tensor& weights, Tensor& y));
DDPM_KERNEL(void attention_backward(const Tensor& query, const Tensor& key, const Tensor& value,
                                    const Tensor& weights, int heads, const Tensor& dy,
                                    Tensor& dquery, Tensor& dkey, Tensor& dvalue));

}  // namespace ddpm
