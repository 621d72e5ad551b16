// The direct convolution for AVX-512: see conv2d_direct_kernels.h.
#include "framework/cpu/conv2d_direct.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "framework/cpu/conv2d_gather.h"
#include "framework/cpu/panels.h"
#include "framework/cpu/scratch.h"

#pragma GCC push_options
#pragma GCC target("avx512f")

#include "framework/cpu/conv2d_direct_kernels.h"
#include "framework/cpu/vector_avx512.h"

namespace ddpm::cpu {

void direct_avx512_forward(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_gather<Avx512>(gather_conv(Conv2dPass::kForward, problem, operands));
}

void direct_avx512_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_gather<Avx512>(gather_conv(Conv2dPass::kBackwardData, problem, operands));
}

void direct_avx512_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_backward_weight<Avx512>(problem, operands);
}

}  // namespace ddpm::cpu

#pragma GCC pop_options

namespace ddpm::cpu {

bool direct_avx512_supports(const Conv2dProblem& problem) {
  return problem.dtype == DType::kF32 && __builtin_cpu_supports("avx512f");
}

}  // namespace ddpm::cpu
#endif
