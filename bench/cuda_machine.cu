// The GPU: events on the program's stream, a large copy, and cuBLAS.
#include <algorithm>

#include "bench/machine.h"
#include "bench/random_tensor.h"
#include "framework/core/memory.h"
#include "framework/core/pool.h"
#include "framework/cuda/cublas.h"
#include "framework/cuda/cuda_check.h"
#include "framework/cuda/stream.h"

namespace ddpm::bench {
namespace {

class Gpu : public Machine {
 public:
  Gpu() {
    DDPM_CUDA_CHECK(cudaEventCreate(&begin_));
    DDPM_CUDA_CHECK(cudaEventCreate(&end_));
  }

  void start(bool cold) override {
    if (cold) overwrite_cache();
    DDPM_CUDA_CHECK(cudaEventRecord(begin_, cuda::stream()));
  }

  double stop() override {
    float milliseconds = 0;
    DDPM_CUDA_CHECK(cudaEventRecord(end_, cuda::stream()));
    DDPM_CUDA_CHECK(cudaEventSynchronize(end_));
    DDPM_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, begin_, end_));
    return 1e-3 * static_cast<double>(milliseconds);
  }

  double matmul_peak(DType dtype) override {
    double& peak = dtype == DType::kBf16 ? bf16_peak_ : f32_peak_;
    if (peak == 0) peak = measure_matmul(dtype);
    return peak;
  }

  double copy_peak() override {
    if (copy_peak_ == 0) copy_peak_ = measure_copy();
    return copy_peak_;
  }

  int64_t l2_bytes() const override {
    int device = 0, bytes = 0;
    DDPM_CUDA_CHECK(cudaGetDevice(&device));
    DDPM_CUDA_CHECK(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, device));
    return bytes;
  }

 private:
  // Four times the cache; at least 256 MiB, which take long enough (60 us at 4 TB/s) for the host
  // to have launched what is timed by the time that the GPU gets to it.
  void overwrite_cache() {
    if (!filler_) {
      const PoolScope scope(Pool::create(Device::kCuda));
      filler_ =
          Tensor::empty({std::max(4 * l2_bytes(), int64_t{256} << 20)}, DType::kU8, Device::kCuda);
    }
    DDPM_CUDA_CHECK(cudaMemsetAsync(filler_.raw(), ++fill_, filler_.bytes(), cuda::stream()));
  }

  template <class Work>
  double best_seconds(int repeats, Work work) {
    work();
    double best = 1e30;
    for (int i = 0; i < repeats; ++i) {
      start(false);
      work();
      best = std::min(best, stop());
    }
    return best;
  }

  double measure_matmul(DType dtype) {
    constexpr int kExtent = 8192;
    const PoolScope scope(Pool::create(Device::kCuda));
    const auto matrix = [&](uint32_t site) {
      return random_tensor({kExtent, kExtent}, dtype, Device::kCuda, site);
    };
    const Tensor a = matrix(1), b = matrix(2), c = Tensor::like(a);
    const cudaDataType type = dtype == DType::kBf16 ? CUDA_R_16BF : CUDA_R_32F;
    const float one = 1, zero = 0;
    const double seconds = best_seconds(20, [&] {
      DDPM_CUBLAS_CHECK(cublasGemmEx(cuda::cublas(), CUBLAS_OP_N, CUBLAS_OP_N, kExtent, kExtent,
                                     kExtent, &one, a.raw(), type, kExtent, b.raw(), type, kExtent,
                                     &zero, c.raw(), type, kExtent, CUBLAS_COMPUTE_32F,
                                     CUBLAS_GEMM_DEFAULT));
    });
    return 2.0 * kExtent * kExtent * kExtent / seconds;
  }

  double measure_copy() {
    constexpr int64_t kBytes = int64_t{1} << 30;
    const PoolScope scope(Pool::create(Device::kCuda));
    const Tensor from = random_tensor({kBytes / 4}, DType::kF32, Device::kCuda, 3);
    const Tensor to = Tensor::like(from);
    return 2.0 * kBytes / best_seconds(20, [&] {
             memory::copy(Device::kCuda, to.raw(), from.raw(), from.bytes());
           });
  }

  cudaEvent_t begin_ = nullptr, end_ = nullptr;
  Tensor filler_;
  int fill_ = 0;
  double f32_peak_ = 0, bf16_peak_ = 0, copy_peak_ = 0;
};

}  // namespace

// Never destroyed: at exit the driver may be gone before our tensors are.
Machine& gpu() {
  static Gpu* const the_gpu = new Gpu;
  return *the_gpu;
}

}  // namespace ddpm::bench
