#include "framework/cuda/moments.h"

namespace ddpm::cuda {

Tensor attach_moments(const Tensor& y, int phases) {
  const Shape& s = y.shape();
  if (y.dtype() != DType::kBf16 || s.rank() != 4 || s[1] * s[2] % (kChunk * phases) != 0 ||
      s[3] % kQuad != 0)
    return {};
  return y.slot()->moments = Tensor::empty({s[0], s[1] * s[2] / kChunk, s[3] / kQuad, 2},
                                           DType::kF32, Device::kCuda);
}

MomentsTally& moments_tally() {
  static MomentsTally tally;
  return tally;
}

}  // namespace ddpm::cuda
