// The noise levels of a process as a continuous curve, for samplers that go where no timestep is.
//
// Between timesteps log alpha_bar is linear in t (as Lu et al. 2022 treat discrete-time models,
// appendix D.3); at them it is the tables'. The network is asked at that real t, which the
// sinusoidal embedding takes as it takes whole ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "diffusion/tables.h"

namespace ddpm {

struct NoiseLevel {
  double t;              // in [0, T - 1]; -1 for the clean image, where no network is asked
  double signal, noise;  // x_t = signal x_0 + noise epsilon
  double log_snr;        // lambda = log(signal / noise): half the logarithm of the SNR
};

inline constexpr NoiseLevel kClean = {-1, 1, 0, std::numeric_limits<double>::infinity()};

class NoiseLevels {
 public:
  explicit NoiseLevels(const DiffusionTables& tables);

  int64_t timesteps() const { return static_cast<int64_t>(signal_.size()); }
  NoiseLevel at_time(double t) const;  // t in [0, T - 1]
  // The level where lambda is that; outside of what the timesteps have, theirs that is closest.
  NoiseLevel at_log_snr(double log_snr) const;
  NoiseLevel first() const { return whole(0); }  // the least noise
  NoiseLevel last() const { return whole(signal_.size() - 1); }

 private:
  NoiseLevel whole(size_t t) const;

  std::vector<double> log_alpha_bar_, signal_, noise_;  // (T)
};

}  // namespace ddpm
