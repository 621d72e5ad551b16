// Winograd's convolution for AVX2 with FMA: see conv2d_winograd.h.
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
#pragma GCC target("avx2,fma")

#include "framework/cpu/conv2d_winograd_weight.h"
#include "framework/cpu/vector_avx2.h"

namespace ddpm::cpu {

void winograd_avx2_forward(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_winograd<Avx2>(Conv2dPass::kForward, problem, operands);
}

void winograd_avx2_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_winograd<Avx2>(Conv2dPass::kBackwardData, problem, operands);
}

void winograd_avx2_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_winograd_weight<Avx2>(problem, operands);
}

}  // namespace ddpm::cpu

#pragma GCC pop_options

namespace ddpm::cpu {

bool winograd_avx2_supports(const Conv2dProblem& problem) {
  return winograd_pays(problem) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
bool winograd_avx2_supports_weight(const Conv2dProblem& problem) {
  return winograd_weight_pays(problem) && __builtin_cpu_supports("avx2") &&
         __builtin_cpu_supports("fma");
}

}  // namespace ddpm::cpu
#endif
