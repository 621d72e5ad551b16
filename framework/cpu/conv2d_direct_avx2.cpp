// The direct convolution for AVX2 with FMA: see conv2d_direct_kernels.h.
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
#pragma GCC target("avx2,fma")

#include "framework/cpu/conv2d_direct_kernels.h"
#include "framework/cpu/vector_avx2.h"

namespace ddpm::cpu {

void direct_avx2_forward(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_gather<Avx2>(gather_conv(Conv2dPass::kForward, problem, operands));
}

void direct_avx2_backward_data(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_gather<Avx2>(gather_conv(Conv2dPass::kBackwardData, problem, operands));
}

void direct_avx2_backward_weight(const Conv2dProblem& problem, const Conv2dOperands& operands) {
  run_backward_weight<Avx2>(problem, operands);
}

}  // namespace ddpm::cpu

#pragma GCC pop_options

namespace ddpm::cpu {

bool direct_avx2_supports(const Conv2dProblem& problem) {
  return problem.dtype == DType::kF32 && __builtin_cpu_supports("avx2") &&
         __builtin_cpu_supports("fma");
}

}  // namespace ddpm::cpu
#endif
