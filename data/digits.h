// The embedded data set: 1,797 handwritten digits of 8 x 8 pixels with 17 grey levels, so that
// every build can train on real images without a download.
#pragma once

#include "data/dataset.h"

namespace ddpm {

// All images are in `train`, in the order of the source; the registry holds out kDigitsHeldOut.
Dataset read_digits();

inline constexpr int64_t kDigitsHeldOut = 297;

}  // namespace ddpm
