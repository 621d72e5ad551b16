// mbarrier: a barrier of 64 bits in shared memory at which threads and the copy engine (tma.cuh)
// arrive. A phase completes when as many threads have arrived as mbarrier_init() said and all bytes
// that were announced have landed; the next phase begins at once. Phases are known by their parity:
// the first is 0, and waiting for 1 on a fresh barrier returns immediately. Compute capability 9.0.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#ifdef DDPM_CUDA_ON_HOST
#include <hopper.h>
#endif

namespace ddpm::cuda {

#ifdef DDPM_CUDA_ON_HOST
using cuda_on_host::mbarrier_arrive;
using cuda_on_host::mbarrier_arrive_expect_bytes;
using cuda_on_host::mbarrier_init;
using cuda_on_host::mbarrier_publish;
using cuda_on_host::mbarrier_wait;
using cuda_on_host::shared_address;
#else

// The address that PTX uses for shared memory.
__device__ inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ inline void mbarrier_init(uint64_t* barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(arrivals)
               : "memory");
}

// Lets the copy engine see the barriers that this thread initialised; other threads see them after
// the next __syncthreads().
__device__ inline void mbarrier_publish() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ inline void mbarrier_arrive(uint64_t* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier))
               : "memory");
}

// Arrives, and announces bytes that the copy engine will deliver in this phase.
__device__ inline void mbarrier_arrive_expect_bytes(uint64_t* barrier, int bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
      "r"(bytes)
      : "memory");
}

// Returns when the phase of that parity is complete.
__device__ inline void mbarrier_wait(uint64_t* barrier, uint32_t parity) {
  uint32_t done;
  do {
    asm volatile(
        "{\n"
        ".reg .pred complete;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 complete, [%1], %2;\n"
        "selp.u32 %0, 1, 0, complete;\n"
        "}"
        : "=r"(done)
        : "r"(shared_address(barrier)), "r"(parity)
        : "memory");
  } while (!done);
}

#endif

}  // namespace ddpm::cuda
