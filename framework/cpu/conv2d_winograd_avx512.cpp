// Winograd's convolution for AVX-512: see conv2d_winograd.h.
#include "framework/cpu/conv2d_winograd.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <type_traits>
#include <utility>

#include "framework/cpu/conv2d_winograd_tiles.h"
#include "framework/cpu/kept_weights.h"
#include "framework/cpu/scratch.h"

#pragma GCC push_options
#pragma GCC target("avx512f")

#include "framework/cpu/conv2d_winograd_weight.h"
#include "framework/cpu/vector_avx512.h"

namespace ddpm::cpu {

void winograd_avx512_forward(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_winograd<Avx512>(Conv2dPass::kForward, problem, operands);
}

void winograd_avx512_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_winograd<Avx512>(Conv2dPass::kBackwardData, problem, operands);
}

void winograd_avx512_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_winograd_weight<Avx512>(problem, operands);
}

}  // namespace ddpm::cpu

#pragma GCC pop_options

namespace ddpm::cpu {

bool winograd_avx512_supports(const Conv2dProblem& problem) {
  return winograd_pays(problem) && __builtin_cpu_supports("avx512f");
}
bool winograd_avx512_supports_weight(const Conv2dProblem& problem) {
  return winograd_weight_pays(problem) && __builtin_cpu_supports("avx512f");
}

}  // namespace ddpm::cpu
#endif
