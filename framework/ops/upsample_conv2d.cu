// CUDA kernels of upsample_conv2d.h: one thread per element of the result. Kernels are a few
// megabytes and change once a step.
#include "framework/cuda/launch.cuh"
#include "framework/ops/upsample_conv2d.h"

namespace ddpm::cuda {
namespace {

template <class T>
__global__ void smear_kernel_forward_kernel(const T* weight, int outputs, int channels,
                                            T* smeared) {
  const int64_t i = global_thread();
  if (i >= int64_t{16} * outputs * channels) return;
  const int k = static_cast<int>(i % outputs);
  const int64_t tap = i / outputs;
  smeared[i] = math::smeared(weight, channels, k, static_cast<int>(tap / 4 % 4),
                             static_cast<int>(tap % 4), tap / 16);
}

template <class T>
__global__ void smear_kernel_backward_kernel(const T* dsmeared, int outputs, int channels,
                                             T* dweight) {
  const int64_t i = global_thread();
  if (i >= int64_t{9} * outputs * channels) return;
  const int c = static_cast<int>(i % channels);
  const int64_t tap = i / channels;
  dweight[i] = math::gathered(dsmeared, outputs, tap / 9, static_cast<int>(tap / 3 % 3),
                              static_cast<int>(tap % 3), c);
}

}  // namespace

void smear_kernel_forward(const Tensor& weight, Tensor& smeared) {
  DDPM_NETWORK_FLOATS(weight.dtype(), T, {
    launch(smear_kernel_forward_kernel<T>, blocks_for(smeared.numel()), kThreads, 0,
           static_cast<const T*>(weight.data<T>()), static_cast<int>(weight.shape()[0]),
           static_cast<int>(weight.shape()[3]), smeared.data<T>());
  });
}

void smear_kernel_backward(const Tensor& dsmeared, Tensor& dweight) {
  DDPM_FLOATS(dweight.dtype(), T, {
    launch(smear_kernel_backward_kernel<T>, blocks_for(dweight.numel()), kThreads, 0,
           static_cast<const T*>(dsmeared.data<T>()), static_cast<int>(dweight.shape()[0]),
           static_cast<int>(dweight.shape()[3]), dweight.data<T>());
  });
}

}  // namespace ddpm::cuda
