// Inference from few seeds, without assuming a distribution: bootstrap intervals and exact
// permutation tests. All of it is deterministic: resamples are drawn from Philox at fixed
// addresses, and whatever can be enumerated is.
#pragma once

#include <cstdint>
#include <vector>

namespace ddpm {

struct Interval {
  double low, high;  // NaN where the sample is too small
};

// 95 % interval of the mean by the bias-corrected and accelerated bootstrap (Efron 1987) from
// 10,000 resamples; n >= 2. Below ten values it tends to be too short, whatever the method.
Interval bca_interval(const std::vector<double>& values);
// 95 % interval of mean(a) - mean(b) for independent samples of two or more (Welch 1947).
Interval welch_interval(const std::vector<double>& a, const std::vector<double>& b);

// Two-sided p of "the differences are symmetric about zero": how often random signs make a mean at
// least as far from zero. Exact, over all 2^n signs, to n = 20; beyond that from 100,000 draws.
double sign_flip_p(const std::vector<double>& differences);
// Two-sided p of "a and b are from one distribution": how often a random split of all values into
// groups of these sizes makes means at least as far apart. Exact to 200,000 splits.
double permutation_p(const std::vector<double>& a, const std::vector<double>& b);
// What no sample of that size can go below, other than by drawing: 2 / 2^n, 2 / C(n + m, n).
double smallest_sign_flip_p(int64_t n);
double smallest_permutation_p(int64_t n, int64_t m);

// Holm's step-down adjustment for testing all hypotheses together, in the order given.
std::vector<double> holm(const std::vector<double>& p);

}  // namespace ddpm
