// A backend is a namespace. DDPM_DISPATCH(device, silu_forward(x, y)) calls cpu::silu_forward or
// cuda::silu_forward; a kernel that was forgotten is a link error with its name. A build without
// CUDA never mentions cuda:: and needs no stubs.
#pragma once

#include "framework/core/check.h"
#include "framework/core/dtype.h"

// Declares a kernel in every backend: DDPM_KERNEL(void silu_forward(const Tensor& x, Tensor& y));
#define DDPM_KERNEL(...) \
  namespace cpu {        \
  __VA_ARGS__;           \
  }                      \
  namespace cuda {       \
  __VA_ARGS__;           \
  }                      \
  static_assert(true)

#ifdef DDPM_WITH_CUDA
#define DDPM_DISPATCH(device, call)          \
  do {                                       \
    if ((device) == ::ddpm::Device::kCuda) { \
      cuda::call;                            \
    } else {                                 \
      cpu::call;                             \
    }                                        \
  } while (0)
#define DDPM_DISPATCH_RESULT(device, result, call) \
  (result) = (device) == ::ddpm::Device::kCuda ? cuda::call : cpu::call
#else
#define DDPM_DISPATCH(device, call)                                                  \
  do {                                                                               \
    DDPM_ASSERT((device) == ::ddpm::Device::kCpu, "this build has no CUDA backend"); \
    cpu::call;                                                                       \
  } while (0)
#define DDPM_DISPATCH_RESULT(device, result, call)                                   \
  do {                                                                               \
    DDPM_ASSERT((device) == ::ddpm::Device::kCpu, "this build has no CUDA backend"); \
    (result) = cpu::call;                                                            \
  } while (0)
#endif

// Runs the body with T bound to the element type: DDPM_FLOATS(x.dtype(), T, { ... });
// For the process around the network: data, noise, losses and the optimizer are never bf16.
#define DDPM_FLOATS(dtype_, T, ...)                                                   \
  do {                                                                                \
    switch (dtype_) {                                                                 \
      case ::ddpm::DType::kF32: {                                                     \
        using T = float;                                                              \
        __VA_ARGS__                                                                   \
      } break;                                                                        \
      case ::ddpm::DType::kF64: {                                                     \
        using T = double;                                                             \
        __VA_ARGS__                                                                   \
      } break;                                                                        \
      default: DDPM_ASSERT(false, "{} is not a floating type here", name_of(dtype_)); \
    }                                                                                 \
  } while (0)

// The same for what happens inside the network, where activations and weights may be bf16, too.
#define DDPM_NETWORK_FLOATS(dtype_, T, ...) \
  do {                                      \
    if ((dtype_) == ::ddpm::DType::kBf16) { \
      using T = ::ddpm::bf16;               \
      __VA_ARGS__                           \
    } else {                                \
      DDPM_FLOATS(dtype_, T, __VA_ARGS__);  \
    }                                       \
  } while (0)
