// Dormand and Prince's Runge-Kutta pair of order 5(4) (1980; Hairer, Norsett and Wanner 1993, table
// II.5.2) with an adaptive step, on the host in double.
//
// Many problems are solved together, so that a derivative that is a network sees batches; but each
// has its own steps, chosen by its own error: a problem has the same solution whatever others it is
// solved with, as long as the derivative sees to that. Those that have arrived wait for the rest.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "framework/config/config.h"

namespace ddpm {

struct OdeOptions {
  // The error of a step is kept below atol + rtol |y|: the root mean square over a part of y.
  double atol = 1e-5, rtol = 1e-5;
  double first_step = 0;  // 0: from the derivative and its change (Hairer et al., II.4)
  double max_step = std::numeric_limits<double>::infinity();
  int64_t max_evaluations = 20000;  // of one problem
};

// "atol" and "rtol" of a configuration, under names that begin with `prefix`.
OdeOptions read_ode(const Config& config, const std::string& prefix = "");

// dy/ds of N problems, each at its own s: s (N), y (N, width), dy (N, width).
using Derivative = std::function<void(const std::vector<double>& s, const std::vector<double>& y,
                                      std::vector<double>& dy)>;

struct OdeSolution {
  std::vector<double> y;             // (N, width)
  std::vector<int64_t> evaluations;  // (N): of the derivative, those of rejected steps, too
};

// From y at `from` to `to`, of `parts` [size, ..] that together are the width; the error of a step
// is that of the worst part. UserError where max_evaluations are not enough.
OdeSolution integrate(const Derivative& derivative, double from, double to, std::vector<double> y,
                      const std::vector<int64_t>& parts, const OdeOptions& options);

}  // namespace ddpm
