// What sm_90a has beside threads, played by the rules of the PTX ISA: barriers with phases
// (mbarrier), the copy engine (cp.async.bulk.tensor) and the tensor cores (wgmma). Everything is
// decoded from what the hardware would get: tensor maps, addresses in shared memory, 64-bit matrix
// descriptors, fragments of registers.
//
// What is asynchronous happens as badly as it may. A copy fills its destination with numbers that
// are none at once, and arrives when a thread waits for its barrier and nothing else would end the
// wait. A product reads its operands when the thread waits for it, and not before. So whoever reads
// too early or frees a stage too soon gets a wrong result.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace cuda_on_host {

// Shared memory as PTX addresses it: the block's dynamic part begins behind what the system keeps.
uint32_t shared_address(const void* pointer);

void mbarrier_init(uint64_t* barrier, int arrivals);
inline void mbarrier_publish() {}
void mbarrier_arrive(uint64_t* barrier);
void mbarrier_arrive_expect_bytes(uint64_t* barrier, int bytes);
void mbarrier_wait(uint64_t* barrier, uint32_t parity);

void tma_load(void* shared, const CUtensorMap* map, uint64_t* barrier, int c0, int c1, int c2,
              int c3);

void wgmma_fence();
void wgmma_commit();
void wgmma_wait(int pending);
template <int kPending>
void wgmma_wait() {
  wgmma_wait(kPending);
}
// m64nNk16 on bf16 of which the calling thread holds `d`; a and b are matrix descriptors.
void wgmma(int columns, float* d, uint64_t a, uint64_t b, bool accumulate, bool is_a_mn_major,
           bool is_b_mn_major);

}  // namespace cuda_on_host
