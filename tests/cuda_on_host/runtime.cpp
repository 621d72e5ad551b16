// Memory, streams and graphs of cuda_runtime.h. There is one stream, and it is never behind.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/cuda_on_host/device.h"
#include "tests/cuda_on_host/grid_runner.h"

// A graph is the list of what was enqueued while it was captured.
struct CudaOnHostGraph {
  std::vector<std::function<void()>> nodes;
};
struct CudaOnHostStream {};

namespace {

constexpr size_t kAlignment = 256;
constexpr int kRuntimeVersion = 13000;
constexpr unsigned kMaxThreads = 1024, kMaxGridYZ = 65535;
constexpr size_t kSharedBytes = 48 << 10;       // without asking
constexpr size_t kMostSharedBytes = 227 << 10;  // of sm_90

std::unique_ptr<CudaOnHostGraph> capturing;
std::map<const void*, size_t> shared_limits;  // of kernels that asked for more
std::string launch_failure;

struct Memory {
  std::map<void*, size_t> blocks;
  size_t bytes = 0;
};
// Never destroyed: the last blocks are freed when the program ends.
Memory& memory() {
  static Memory& the_memory = *new Memory;
  return the_memory;
}

}  // namespace

namespace cuda_on_host {

Device& device() {
  static Device the_device;
  return the_device;
}

size_t bytes_allocated() { return memory().bytes; }

cudaError_t find_code() {
  return device().runs_this_build ? cudaSuccess : cudaErrorNoKernelImageForDevice;
}

cudaError_t enqueue(std::function<void()> work) {
  if (capturing) {
    capturing->nodes.push_back(std::move(work));
    return cudaSuccess;
  }
  try {
    work();
  } catch (const std::exception& error) {
    launch_failure = error.what();
    return cudaErrorLaunchFailure;
  }
  return cudaSuccess;
}

cudaError_t set_shared_limit(const void* kernel, int bytes) {
  if (bytes < 0 || static_cast<size_t>(bytes) > kMostSharedBytes) return cudaErrorInvalidValue;
  shared_limits[kernel] = static_cast<size_t>(bytes);
  return cudaSuccess;
}

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel,
                   std::function<void()> thread_body) {
  const dim3 grid = config.gridDim, threads = config.blockDim;
  const auto limit = shared_limits.find(kernel);
  const size_t count = size_t{threads.x} * threads.y * threads.z;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > kMaxGridYZ || grid.z > kMaxGridYZ ||
      count == 0 || count > kMaxThreads ||
      config.dynamicSmemBytes > (limit == shared_limits.end() ? kSharedBytes : limit->second))
    return cudaErrorInvalidConfiguration;
  return enqueue([config, body = std::move(thread_body)] { run_grid(config, body); });
}

}  // namespace cuda_on_host

const char* cudaGetErrorString(cudaError_t status) {
  switch (status) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorNoKernelImageForDevice:
      return "no kernel image is available for execution on the device";
    case cudaErrorLaunchFailure: return launch_failure.c_str();
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
  }
  return "unknown error";
}

cudaError_t cudaMalloc(void** block, size_t bytes) {
  if (capturing) return cudaErrorStreamCaptureUnsupported;
  size_t available = 0, total = 0;
  cudaMemGetInfo(&available, &total);
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (rounded > available) return cudaErrorMemoryAllocation;
  *block = std::aligned_alloc(kAlignment, rounded);
  if (!*block) return cudaErrorMemoryAllocation;
  std::memset(*block, 0xFF, rounded);  // fresh memory of a device holds anything: not numbers
  memory().blocks[*block] = rounded;
  memory().bytes += rounded;
  return cudaSuccess;
}

cudaError_t cudaFree(void* block) {
  if (const auto found = memory().blocks.find(block); found != memory().blocks.end()) {
    memory().bytes -= found->second;
    memory().blocks.erase(found);
  }
  std::free(block);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  *total = cuda_on_host::device().memory_bytes;
  *available = *total - std::min(*total, memory().bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* destination, const void* source, size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t) {
  // The driver cannot keep pageable host memory for a later replay.
  if (capturing && kind != cudaMemcpyDeviceToDevice) return cudaErrorStreamCaptureUnsupported;
  return cuda_on_host::enqueue([=] { std::memcpy(destination, source, bytes); });
}

cudaError_t cudaMemsetAsync(void* destination, int value, size_t bytes, cudaStream_t) {
  return cuda_on_host::enqueue([=] { std::memset(destination, value, bytes); });
}

cudaError_t cudaGetDeviceCount(int* count) {
  const cuda_on_host::Device& device = cuda_on_host::device();
  *count = device.count;
  if (device.driver_version < kRuntimeVersion) return cudaErrorInsufficientDriver;
  return device.count > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  const cuda_on_host::Device& device = cuda_on_host::device();
  *properties = {};
  std::strncpy(properties->name, cuda_on_host::kDeviceName, sizeof properties->name - 1);
  properties->totalGlobalMem = device.memory_bytes;
  properties->major = device.capability / 10;
  properties->minor = device.capability % 10;
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = cuda_on_host::device().driver_version;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = kRuntimeVersion;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr, int) {
  *value = 4;  // few, so that kernels that size their grid by it loop in tests too
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CudaOnHostStream;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return capturing ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) {
  if (capturing) return cudaErrorStreamCaptureUnsupported;
  capturing = std::make_unique<CudaOnHostGraph>();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* graph) {
  if (!capturing) return cudaErrorInvalidValue;
  *graph = capturing.release();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph,
                                 unsigned long long) {
  *executable = new CudaOnHostGraph(*graph);
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t) {
  return cuda_on_host::enqueue([executable] {
    for (const std::function<void()>& node : executable->nodes) node();
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
