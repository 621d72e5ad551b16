// The part of group_norm that takes longest when a network samples in bf16, on processors that have
// vector instructions for bf16: elsewhere it is compiled from the loop of group_norm.cpp.
#pragma once

#include <cstdint>

#include "framework/core/bf16.h"

namespace ddpm::cpu {

#if defined(__x86_64__)
bool has_avx512_bf16();

// y = silu((x - mean) * scale + shift) for a row of `width` channels. Before it is rounded, y is
// off by at most 7e-5 of itself, a fiftieth of half a unit of bf16's last place.
void norm_silu_row(const bf16* x, const float* mean, const float* scale, const float* shift,
                   int64_t width, bf16* y);
#endif

}  // namespace ddpm::cpu
