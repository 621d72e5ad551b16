// Attention with its six products on the matrix unit (amx.h), f32 operands in two bf16 parts as in
// conv2d_amx.h. Arguments are those of framework/ops/attention.h.
#pragma once

#include "framework/core/tensor.h"

namespace ddpm::cpu {

#if defined(__x86_64__)
bool amx_attention_supports(const Tensor& query, int heads);
void amx_attention_forward(const Tensor& query, const Tensor& key, const Tensor& value, int heads,
                           const Tensor& weights, const Tensor& y);
void amx_attention_backward(const Tensor& query, const Tensor& key, const Tensor& value,
                            const Tensor& weights, int heads, const Tensor& dy,
                            const Tensor& dquery, const Tensor& dkey, const Tensor& dvalue);
#endif

}  // namespace ddpm::cpu
