// The part of CUDA C++ and of its runtime that this project uses, for a plain C++ compiler: kernels
// run on the host (grid_runner.h) and device memory is ordinary memory. Every call succeeds, fails
// and captures as the real one does, so that tests of the .cu files need no GPU. Names and
// signatures are CUDA's.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(bytes) alignas(bytes)
// One block runs at a time, so that what a block shares may be static.
#define __shared__ static

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  unsigned x, y, z;
};

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorLaunchFailure = 719,
  cudaErrorStreamCaptureUnsupported = 900,
};
// After cudaErrorLaunchFailure: which thread of which block failed, and why.
const char* cudaGetErrorString(cudaError_t status);
inline cudaError_t cudaGetLastError() { return cudaSuccess; }

using cudaStream_t = struct CudaOnHostStream*;
using cudaGraph_t = struct CudaOnHostGraph*;
using cudaGraphExec_t = struct CudaOnHostGraph*;

enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal };
inline constexpr unsigned cudaStreamNonBlocking = 1;

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem;
  int major, minor;
};
struct cudaFuncAttributes {};

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

namespace cuda_on_host {

// What a kernel sees of its block; see grid_runner.h.
void* dynamic_shared();
void block_barrier();
void warp_barrier(unsigned mask);
// The 16 bytes of the lane that the calling lane reads after all lanes of `mask` wrote theirs.
void warp_exchange(unsigned mask, const void* value, size_t bytes, int source_lane, void* result);
unsigned warp_ballot(unsigned mask, bool predicate);
int lane();

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel,
                   std::function<void()> thread_body);
cudaError_t set_shared_limit(const void* kernel, int bytes);
cudaError_t find_code();
// Does `work` now, or keeps it for the graph that is being captured.
cudaError_t enqueue(std::function<void()> work);

template <class T>
T shuffle(unsigned mask, T value, int source_lane) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  T result;
  warp_exchange(mask, &value, sizeof value, source_lane, &result);
  return result;
}

}  // namespace cuda_on_host

inline void __syncthreads() { cuda_on_host::block_barrier(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { cuda_on_host::warp_barrier(mask); }
template <class T>
T __shfl_sync(unsigned mask, T value, int source_lane) {
  return cuda_on_host::shuffle(mask, value, source_lane);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask) {
  return cuda_on_host::shuffle(mask, value, cuda_on_host::lane() ^ lane_mask);
}
// A lane whose source lies outside the warp keeps its own value.
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta) {
  const int source = cuda_on_host::lane() + static_cast<int>(delta);
  return cuda_on_host::shuffle(mask, value, source < 32 ? source : cuda_on_host::lane());
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta) {
  const int source = cuda_on_host::lane() - static_cast<int>(delta);
  return cuda_on_host::shuffle(mask, value, source >= 0 ? source : cuda_on_host::lane());
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  return cuda_on_host::warp_ballot(mask, predicate != 0);
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }

template <class T>
T __ldg(const T* address) {
  return *address;
}
template <class A, class B>
constexpr std::common_type_t<A, B> min(A a, B b) {
  return b < a ? b : a;
}
template <class A, class B>
constexpr std::common_type_t<A, B> max(A a, B b) {
  return a < b ? b : a;
}
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }

cudaError_t cudaMalloc(void** block, size_t bytes);
cudaError_t cudaFree(void* block);
cudaError_t cudaMemGetInfo(size_t* available, size_t* total);
cudaError_t cudaMemcpyAsync(void* destination, const void* source, size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* destination, int value, size_t bytes, cudaStream_t stream);

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);

template <class... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute, int value) {
  return cuda_on_host::set_shared_limit(reinterpret_cast<const void*>(kernel), value);
}

template <class... Parameters>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, void (*)(Parameters...)) {
  return cuda_on_host::find_code();
}

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  std::tuple<Parameters...> parameters(std::forward<Arguments>(arguments)...);
  return cuda_on_host::launch(*config, reinterpret_cast<const void*>(kernel),
                              [kernel, parameters] { std::apply(kernel, parameters); });
}
