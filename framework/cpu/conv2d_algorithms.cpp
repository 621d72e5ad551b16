#include "framework/cpu/conv2d_algorithms.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <set>

#include "framework/cpu/conv2d_amx.h"
#include "framework/cpu/conv2d_direct.h"
#include "framework/cpu/conv2d_tap_gemm.h"
#include "framework/cpu/conv2d_widened.h"
#include "framework/cpu/conv2d_winograd.h"
#ifdef DDPM_WITH_CUDA
#include "framework/cuda/conv2d_algorithms.h"
#endif

namespace ddpm::cpu {
namespace {

bool tap_gemm_supports(const Conv2dProblem& problem) {
  return problem.dtype == DType::kF32 || problem.dtype == DType::kF64;
}

constexpr Conv2dAlgorithm kForward[] = {
#if defined(__x86_64__)
    {"amx_bf16", amx_bf16_supports, amx_forward},
    {"amx_bf16x3", amx_bf16x3_supports, amx_forward},
    {"winograd_avx512", winograd_avx512_supports, winograd_avx512_forward},
    {"direct_avx512", direct_avx512_supports, direct_avx512_forward},
    {"winograd_avx2", winograd_avx2_supports, winograd_avx2_forward},
    {"direct_avx2", direct_avx2_supports, direct_avx2_forward},
#endif
    {"tap_gemm", tap_gemm_supports, tap_gemm_forward},
    {"widened", widened_supports, widened_forward},
};
constexpr Conv2dAlgorithm kBackwardData[] = {
#if defined(__x86_64__)
    {"amx_bf16", amx_bf16_supports, amx_backward_data},
    {"amx_bf16x3", amx_bf16x3_supports, amx_backward_data},
    {"winograd_avx512", winograd_avx512_supports, winograd_avx512_backward_data},
    {"direct_avx512", direct_avx512_supports, direct_avx512_backward_data},
    {"winograd_avx2", winograd_avx2_supports, winograd_avx2_backward_data},
    {"direct_avx2", direct_avx2_supports, direct_avx2_backward_data},
#endif
    {"tap_gemm", tap_gemm_supports, tap_gemm_backward_data},
    {"widened", widened_supports, widened_backward_data},
};
constexpr Conv2dAlgorithm kBackwardWeight[] = {
#if defined(__x86_64__)
    {"amx_bf16", amx_bf16_supports, amx_backward_weight},
    {"amx_bf16x3", amx_bf16x3_supports, amx_backward_weight},
    {"winograd_avx512", winograd_avx512_supports_weight, winograd_avx512_backward_weight},
    {"direct_avx512", direct_avx512_supports, direct_avx512_backward_weight},
    {"winograd_avx2", winograd_avx2_supports_weight, winograd_avx2_backward_weight},
    {"direct_avx2", direct_avx2_supports, direct_avx2_backward_weight},
#endif
    {"tap_gemm", tap_gemm_supports, tap_gemm_backward_weight},
    {"widened", widened_supports, widened_backward_weight},
};

// Of every backend: a name that is forced holds where it is known.
void check_known(const std::string& name) {
  std::set<std::string> known;
  for (Conv2dPass pass : kConv2dPasses) {
    for (const Conv2dAlgorithm& algorithm : conv2d_algorithms(pass)) known.insert(algorithm.name);
#ifdef DDPM_WITH_CUDA
    for (const Conv2dAlgorithm& algorithm : cuda::conv2d_algorithms(pass))
      known.insert(algorithm.name);
#endif
  }
  DDPM_CHECK(name.empty() || known.contains(name), "DDPM_CONV2D: unknown algorithm '{}'; known: {}",
             name, fmt::join(known, ", "));
}

bool winograd_allowed = true;

std::string& forced_name() {
  static std::string name = [] {
    const char* value = std::getenv("DDPM_CONV2D");
    const std::string wanted = value ? value : "";
    check_known(wanted);
    return wanted;
  }();
  return name;
}

}  // namespace

std::span<const Conv2dAlgorithm> conv2d_algorithms(Conv2dPass pass) {
  switch (pass) {
    case Conv2dPass::kForward: return kForward;
    case Conv2dPass::kBackwardData: return kBackwardData;
    case Conv2dPass::kBackwardWeight: return kBackwardWeight;
  }
  return {};
}

const Conv2dAlgorithm& choose_conv2d_algorithm(Conv2dPass pass, const Conv2dProblem& problem) {
  return choose_conv2d_algorithm(conv2d_algorithms(pass), pass, problem);
}

const Conv2dAlgorithm& choose_conv2d_algorithm(std::span<const Conv2dAlgorithm> algorithms,
                                               Conv2dPass pass, const Conv2dProblem& problem) {
  const Conv2dAlgorithm* best = nullptr;
  for (const Conv2dAlgorithm& algorithm : algorithms) {
    if (!algorithm.supports(problem)) continue;
    if (algorithm.name == forced_name()) return algorithm;
    if (!best) best = &algorithm;
  }
  DDPM_ASSERT(best, "no algorithm for conv2d {} in {}", name_of(pass), name_of(problem.dtype));
  return *best;
}

void run_conv2d(Conv2dPass pass, const Conv2dProblem& problem, const Conv2dOperands& operands) {
  choose_conv2d_algorithm(pass, problem).run(problem, operands);
}

void force_conv2d_algorithm(const std::string& name) {
  check_known(name);
  forced_name() = name;
}

bool may_split_f32() {
  const auto is_forced = [](const Conv2dAlgorithm& a) { return a.name == forced_name(); };
  return forced_name().starts_with("amx") ||
         std::none_of(std::begin(kForward), std::end(kForward), is_forced);
}

void allow_winograd(bool allowed) { winograd_allowed = allowed; }
bool is_winograd_allowed() { return winograd_allowed; }

std::string describe_conv2d_algorithms(
    std::span<const Conv2dAlgorithm> (*algorithms_of)(Conv2dPass)) {
  Conv2dProblem p{.images = 8, .in_height = 32, .in_width = 32, .in_channels = 128};
  p.out_height = p.out_width = 32, p.out_channels = 128;
  p.kernel_height = p.kernel_width = 3, p.pad_top = p.pad_left = 1;
  std::string text;
  for (Conv2dPass pass : kConv2dPasses) {
    std::string others;
    const std::span<const Conv2dAlgorithm> algorithms = algorithms_of(pass);
    const Conv2dAlgorithm& chosen = choose_conv2d_algorithm(algorithms, pass, p);
    for (const Conv2dAlgorithm& algorithm : algorithms)
      if (&algorithm != &chosen && algorithm.supports(p))
        others += fmt::format("{}{}", others.empty() ? "" : ", ", algorithm.name);
    text += fmt::format("conv2d {}: {}{}{}\n", name_of(pass), chosen.name,
                        others.empty() ? "" : "; also: ", others);
  }
  return text;
}

}  // namespace ddpm::cpu
