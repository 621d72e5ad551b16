// Schedule: the variances beta_1 .. beta_T of the forward process, DDPM eq. 2. Index t = 0 is one
// diffusion step. Pure host mathematics in double; tables.h derives everything else.
#pragma once

#include <vector>

#include "framework/config/config.h"

namespace ddpm {

class Schedule {
 public:
  virtual ~Schedule() = default;
  virtual std::vector<double> betas(int timesteps) const = 0;  // (T)
};

// The ends of a schedule; the defaults are DDPM's.
struct BetaRange {
  explicit BetaRange(const Config& config)
      : start(config.number("beta_start", 1e-4, 0, 1, "beta of the first step", Exclude::kMin)),
        end(config.number("beta_end", 0.02, 0, 1, "beta of the last step", Exclude::kMin)) {}
  double start, end;
};

// `count` evenly spaced numbers from `first` to `last`, both included.
inline std::vector<double> linspace(double first, double last, int count) {
  std::vector<double> x(count, first);
  for (int i = 1; i < count; ++i) x[i] = first + (last - first) * i / (count - 1);
  return x;
}

}  // namespace ddpm
