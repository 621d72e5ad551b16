// Variance: the variance of the reverse step p(x_{t-1} | x_t). All of them are affine in what the
// network says about it:
//   log variance = offset + slope * output
// A learned one gives the network twice the channels: first the prediction, then this output.
#pragma once

#include "diffusion/tables.h"

namespace ddpm {

class Variance {
 public:
  struct Coefficients {
    double offset, slope;
  };

  virtual ~Variance() = default;
  virtual Coefficients at(const DiffusionTables& tables, int t) const = 0;
  virtual bool learned() const { return false; }
  // Whether the network's output belongs to the step t -> t - 1, and says nothing of longer ones.
  virtual bool is_of_steps() const { return false; }
};

}  // namespace ddpm
