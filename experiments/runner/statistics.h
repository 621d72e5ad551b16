// Statistics over seeds.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace ddpm {

// Quantile of Student's t distribution, p in (0, 1).
double student_t_quantile(double p, double degrees_of_freedom);

// How the 95 % interval of a mean is made: Student's t, which supposes a normal distribution, or
// the bootstrap of bca_interval (resampling.h).
enum class IntervalMethod { kT, kBca };
std::string name_of(IntervalMethod method);  // "t", "bca"

// {"n", "mean", "std" (ddof 1), "sem", "ci95", "ci_method", "median", "min", "max", "values"}; what
// one value cannot tell is null.
nlohmann::ordered_json summarise(const std::vector<double>& values,
                                 IntervalMethod method = IntervalMethod::kT);

}  // namespace ddpm
