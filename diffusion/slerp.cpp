#include "diffusion/slerp.h"

#include <cmath>

#include "framework/core/check.h"

namespace ddpm {

std::vector<float> slerp(std::span<const float> a, std::span<const float> b, double share) {
  DDPM_ASSERT(a.size() == b.size(), "slerp: {} and {} numbers", a.size(), b.size());
  double aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
    ab += static_cast<double>(a[i]) * b[i];
  }
  double of_a = 1 - share, of_b = share;
  const double cosine = ab / std::sqrt(aa * bb);  // NaN for a zero vector
  // Closer to a line than this, the arc differs from it by less than f32 shows.
  if (std::abs(cosine) < 1 - 1e-9) {
    const double theta = std::acos(cosine);
    of_a = std::sin((1 - share) * theta) / std::sin(theta);
    of_b = std::sin(share * theta) / std::sin(theta);
  }
  std::vector<float> mixed(a.size());
  for (size_t i = 0; i < a.size(); ++i) mixed[i] = static_cast<float>(of_a * a[i] + of_b * b[i]);
  return mixed;
}

}  // namespace ddpm
