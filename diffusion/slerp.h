// Spherical interpolation, on which DDIM's section 5.3 mixes two x_T: normal noise in many
// dimensions lies close to a sphere, and a straight line between two points of it passes through
// the inside, where x_T have less noise than the network was trained at.
#pragma once

#include <span>
#include <vector>

namespace ddpm {

// sin((1 - share) theta) / sin(theta) a + sin(share theta) / sin(theta) b, theta the angle between
// a and b, of one size; exactly a at share 0 and b at share 1. Where there is no single shortest
// arc (parallel, opposite or zero vectors) it is the straight line.
std::vector<float> slerp(std::span<const float> a, std::span<const float> b, double share);

}  // namespace ddpm
