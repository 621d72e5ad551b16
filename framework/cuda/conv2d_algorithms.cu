#include "framework/cpu/conv2d_algorithms.h"
#include "framework/cuda/conv2d_algorithms.h"
#include "framework/cuda/conv2d_cublas.h"
#include "framework/cuda/conv2d_implicit_gemm.h"
#include "framework/cuda/conv2d_mma.h"
#include "framework/cuda/conv2d_thin.h"
#include "framework/cuda/conv2d_wgmma.h"

namespace ddpm::cuda {
namespace {

// In bf16 cuBLAS comes after those that add to a product as they write it. The gradients have
// nothing to add, and nothing is faster at pointwise ones.
constexpr Conv2dAlgorithm kForward[] = {
    {"thin", thin_supports_forward, thin_forward},
    {"wgmma", wgmma_supports, wgmma_forward},
    {"mma", mma_supports, mma_forward},
    {"cublas", cublas_supports, cublas_forward},
    {"implicit_gemm", implicit_gemm_supports, implicit_gemm_forward},
};
constexpr Conv2dAlgorithm kBackwardData[] = {
    {"thin", thin_supports_backward_data, thin_backward_data},
    {"cublas", cublas_supports, cublas_backward_data},
    {"wgmma", wgmma_supports, wgmma_backward_data},
    {"mma", mma_supports, mma_backward_data},
    {"implicit_gemm", implicit_gemm_supports, implicit_gemm_backward_data},
};
constexpr Conv2dAlgorithm kBackwardWeight[] = {
    {"thin", thin_supports_backward_weight, thin_backward_weight},
    {"cublas", cublas_supports, cublas_backward_weight},
    {"wgmma", wgmma_supports, wgmma_backward_weight},
    {"mma", mma_supports, mma_backward_weight},
    {"implicit_gemm", implicit_gemm_supports, implicit_gemm_backward_weight},
};

}  // namespace

std::span<const Conv2dAlgorithm> conv2d_algorithms(Conv2dPass pass) {
  switch (pass) {
    case Conv2dPass::kForward: return kForward;
    case Conv2dPass::kBackwardData: return kBackwardData;
    case Conv2dPass::kBackwardWeight: return kBackwardWeight;
  }
  return {};
}

void run_conv2d(Conv2dPass pass, const Conv2dProblem& problem, const Conv2dOperands& operands) {
  cpu::choose_conv2d_algorithm(conv2d_algorithms(pass), pass, problem).run(problem, operands);
}

}  // namespace ddpm::cuda
