#include "framework/core/memory.h"
#include "framework/cuda/cublas.h"
#include "framework/cuda/cuda_check.h"
#include "framework/cuda/stream.h"

namespace ddpm::cuda {
namespace {

class Stream {
 public:
  Stream() { DDPM_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Cublas {
 public:
  Cublas() {
    DDPM_CUBLAS_CHECK(cublasCreate(&handle_));
    DDPM_CUBLAS_CHECK(cublasSetStream(handle_, stream()));
    DDPM_CUBLAS_CHECK(cublasSetWorkspace(handle_, workspace_, kWorkspaceBytes));
    // Where a product is split, its parts are added in f32, too, and rounded to bf16 once.
    DDPM_CUBLAS_CHECK(cublasSetMathMode(handle_, CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION));
  }
  ~Cublas() {
    cublasDestroy(handle_);
    memory::release(Device::kCuda, workspace_);
  }
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;
  cublasHandle_t get() const { return handle_; }

 private:
  static constexpr size_t kWorkspaceBytes = 32 << 20;  // what cuBLAS recommends for Hopper
  cublasHandle_t handle_ = nullptr;
  std::byte* workspace_ = memory::allocate(Device::kCuda, kWorkspaceBytes);
};

}  // namespace

cudaStream_t stream() {
  static const Stream the_stream;
  return the_stream.get();
}

void synchronize() { DDPM_CUDA_CHECK(cudaStreamSynchronize(stream())); }

int multiprocessor_count() {
  static const int count = [] {
    int device = 0, value = 0;
    DDPM_CUDA_CHECK(cudaGetDevice(&device));
    DDPM_CUDA_CHECK(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, device));
    return value;
  }();
  return count;
}

cublasHandle_t cublas() {
  static const Cublas the_handle;
  return the_handle.get();
}

}  // namespace ddpm::cuda
