// Statistics over seeds.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

namespace ddpm {

// Quantile of Student's t distribution, p in (0, 1).
double student_t_quantile(double p, double degrees_of_freedom);

// {"n", "mean", "std" (ddof 1), "sem", "ci95", "ci_method", "median", "min", "max", "values"}; what
// one value cannot tell is null.
nlohmann::ordered_json summarise(const std::vector<double>& values);

}  // namespace ddpm
