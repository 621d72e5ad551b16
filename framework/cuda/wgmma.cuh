// wgmma: D (64, N) += A (64, 16) B (16, N) by a warpgroup of four warps, bf16 in, f32 sums in
// registers, both operands in shared memory. It is asynchronous: between wgmma_fence() and the
// wgmma_wait() that covers its group, neither the sums nor the operands may be touched. Exists on
// compute capability 9.0 alone, in code for sm_90a.
//
// Operands are panels: 64 lines of 64 bf16, 8 KB, each a box that the copy engine (tma.cuh) wrote
// with the 128-byte swizzle. An operand whose lines run along M or N and whose elements run along
// the depth is K-major, the other way round it is MN-major; one of more than 64 rows or columns is
// a row of panels. What the 64-bit matrix descriptor says of both (PTX ISA, "Matrix Descriptor
// Format", "Strides"; CUTLASS make_gmma_desc has the same values), in chunks of 16 bytes:
//
//             canonical layout               stride (SBO)          leading (LBO)
//   K-major   ((8,m),2) : ((8,SBO),1)        8 lines to the next   not used: the depth of 16 stays
//                                            8: 1024 bytes         within a line
//   MN-major  ((8,m),(8,2)) :                8 lines to the next   64 rows or columns to the next
//             ((1,LBO),(8,SBO))              8: 1024 bytes         64, one panel: 8192 bytes
//
// The next 16 of the depth begin 32 bytes into the lines (K-major) or 16 lines below (MN-major).
// The swizzle is a function of the address, panels begin at multiples of 1024 bytes: base offset 0.
#pragma once

#include "framework/cuda/mbarrier.cuh"

namespace ddpm::cuda {

enum class Major { kK, kMN };

inline constexpr int kPanelLines = 64;                    // and elements of a line
inline constexpr int kPanelBytes = 64 * kPanelLines * 2;  // of bf16

// Bits 0-13: address / 16. 16-29: leading / 16. 32-45: stride / 16. 49-51: base offset. 62-63:
// swizzle, 1 is 128 bytes.
template <Major kMajor>
__device__ uint64_t wgmma_descriptor(const void* panel) {
  constexpr uint64_t kLeading = kMajor == Major::kK ? 16 : kPanelBytes, kStride = 1024;
  return shared_address(panel) >> 4 | kLeading >> 4 << 16 | kStride >> 4 << 32 | uint64_t{1} << 62;
}
// What to add to a descriptor to come to another address, or to the next 16 of the depth.
constexpr uint64_t wgmma_descriptor_step(int bytes) { return static_cast<uint64_t>(bytes) >> 4; }
template <Major kMajor>
inline constexpr uint64_t kWgmmaDepthStep = wgmma_descriptor_step(kMajor == Major::kK ? 32 : 2048);

#ifdef DDPM_CUDA_ON_HOST
using cuda_on_host::wgmma_commit;
using cuda_on_host::wgmma_fence;
using cuda_on_host::wgmma_wait;

template <int kColumns, Major kMajorA, Major kMajorB>
void wgmma(float (&d)[kColumns / 2], uint64_t a, uint64_t b, bool accumulate) {
  cuda_on_host::wgmma(kColumns, d, a, b, accumulate, kMajorA == Major::kMN, kMajorB == Major::kMN);
}
template <int kCount>
void wgmma_finish(float (&)[kCount]) {}
template <int>
void set_more_registers() {}
template <int>
void set_fewer_registers() {}
#else

// Before the first wgmma(), and after sums were touched.
__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
// Closes a group of wgmma().
__device__ inline void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Waits until at most the last kPending groups are still under way.
template <int kPending>
__device__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
// Keeps the compiler from reading sums before a wait that stands before this.
template <int kCount>
__device__ __forceinline__ void wgmma_finish(float (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

// Registers move between the warpgroups of a block; all threads of the warpgroup call it.
template <int kRegisters>
__device__ void set_more_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ void set_fewer_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

#define DDPM_SUMS_8(i)                                                                        \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define DDPM_SUMS_64(i)                                                         \
  DDPM_SUMS_8(i), DDPM_SUMS_8(i + 8), DDPM_SUMS_8(i + 16), DDPM_SUMS_8(i + 24), \
      DDPM_SUMS_8(i + 32), DDPM_SUMS_8(i + 40), DDPM_SUMS_8(i + 48), DDPM_SUMS_8(i + 56)

// Thread t of the warpgroup holds of D, in d[4 * j + 2 * h + i], row 16 * (t / 32) + t % 32 / 4 +
// 8 * h and column 8 * j + 2 * (t % 4) + i. Without `accumulate`, D = A B.
template <int kColumns, Major kMajorA, Major kMajorB>
__device__ __forceinline__ void wgmma(float (&d)[kColumns / 2], uint64_t a, uint64_t b,
                                      bool accumulate) {
  static_assert(kColumns == 128 || kColumns == 256);
  constexpr int kTransposeA = kMajorA == Major::kMN, kTransposeB = kMajorB == Major::kMN;
  if constexpr (kColumns == 128) {
    asm volatile(
        "{\n"
        ".reg .pred accumulate;\n"
        "setp.ne.b32 accumulate, %66, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15,"
        " %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31,"
        " %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47,"
        " %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63},"
        " %64, %65, accumulate, 1, 1, %67, %68;\n"
        "}"
        : DDPM_SUMS_64(0)
        : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)), "n"(kTransposeA), "n"(kTransposeB));
  } else {
    asm volatile(
        "{\n"
        ".reg .pred accumulate;\n"
        "setp.ne.b32 accumulate, %130, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15,"
        " %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31,"
        " %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47,"
        " %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63,"
        " %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79,"
        " %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95,"
        " %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, "
        "%111,"
        " %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, "
        "%126, %127},"
        " %128, %129, accumulate, 1, 1, %131, %132;\n"
        "}"
        : DDPM_SUMS_64(0), DDPM_SUMS_64(64)
        : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)), "n"(kTransposeA), "n"(kTransposeB));
  }
}

#undef DDPM_SUMS_64
#undef DDPM_SUMS_8

#endif

}  // namespace ddpm::cuda
