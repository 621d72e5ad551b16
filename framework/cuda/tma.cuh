// The copy engine of Hopper (the Tensor Memory Accelerator): one thread names a box of a tensor of
// rank 4 by its first coordinates, and the box appears in shared memory. Coordinates may be
// negative or too large: what lies outside of the tensor arrives as zeros, which is how
// convolutions get their padding. The tensor is described by a tensor map, made on the host and
// passed by value as a `const __grid_constant__ CUtensorMap` parameter, so that it freezes in a
// graph together with the addresses it holds. It may take every other pixel.
//
// Boxes are 64 bf16 = 128 bytes wide, and their lines are swizzled in shared memory: the 16-byte
// chunk at address bits 4-6 lies at (bits 4-6) xor (bits 7-9), the layout that wgmma.cuh reads.
#pragma once

#include <cuda.h>

#include <array>

#include "framework/core/bf16.h"
#include "framework/cuda/cuda_check.h"
#include "framework/cuda/mbarrier.cuh"

namespace ddpm::cuda {

inline constexpr int kTmaBoxWidth = 64;

// The driver's encoder. It is looked up when it is first needed, so that programs start on machines
// without a driver.
inline decltype(&cuTensorMapEncodeTiled) tensor_map_encoder() {
  static const auto encoder = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult result{};
    constexpr const char* kName = "cuTensorMapEncodeTiled";
#if CUDART_VERSION >= 12050
    DDPM_CUDA_CHECK(
        cudaGetDriverEntryPointByVersion(kName, &function, 12000, cudaEnableDefault, &result));
#else
    DDPM_CUDA_CHECK(cudaGetDriverEntryPoint(kName, &function, cudaEnableDefault, &result));
#endif
    if (result != cudaDriverEntryPointSuccess) fail("the CUDA driver has no {}", kName);
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
  }();
  return encoder;
}

// A contiguous bf16 tensor and its boxes, innermost extents first. A box is that many elements,
// each `steps` behind the one before; the innermost step is always 1.
inline CUtensorMap make_tensor_map(const bf16* tensor, const std::array<int64_t, 4>& extents,
                                   const std::array<int, 4>& box,
                                   const std::array<int, 4>& steps = {1, 1, 1, 1}) {
  cuuint64_t dims[4], strides[3];
  cuuint32_t box_dims[4], element_strides[4];
  cuuint64_t bytes = sizeof(bf16);
  for (size_t d = 0; d < 4; ++d) {
    dims[d] = static_cast<cuuint64_t>(extents[d]);
    element_strides[d] = static_cast<cuuint32_t>(steps[d]);
    // The driver counts what a box spans, of which ceil(box_dims / element_strides) arrive.
    box_dims[d] = static_cast<cuuint32_t>(box[d] * steps[d]);
    bytes *= dims[d];
    if (d < 3) strides[d] = bytes;
  }
  CUtensorMap map;
  const CUresult status = tensor_map_encoder()(
      &map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 4, const_cast<bf16*>(tensor), dims, strides, box_dims,
      element_strides, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
      CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  DDPM_ASSERT(
      status == CUDA_SUCCESS,
      "a tensor map of ({}, {}, {}, {}) at {}, box ({}, {}, {}, {}) in steps of ({}, {}, {}, "
      "{}): error {}",
      extents[0], extents[1], extents[2], extents[3], static_cast<const void*>(tensor), box[0],
      box[1], box[2], box[3], steps[0], steps[1], steps[2], steps[3], static_cast<int>(status));
  return map;
}

#ifdef DDPM_CUDA_ON_HOST
using cuda_on_host::tma_load;
#else

// Copies the box that begins at the coordinates, innermost first, to `shared` (a multiple of 1024
// bytes). Its bytes, with the zeros, count at the barrier when they are there.
__device__ inline void tma_load(void* shared, const CUtensorMap* map, uint64_t* barrier, int c0,
                                int c1, int c2, int c3) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(shared_address(shared)),
      "l"(map), "r"(shared_address(barrier)), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
      : "memory");
}

#endif

}  // namespace ddpm::cuda
