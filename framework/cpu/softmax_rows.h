// The two passes over rows of attention weights, on Eigen matrices. For .cpp files only.
#pragma once

#include "framework/cpu/gemm.h"

namespace ddpm::cpu {

// p = softmax(scale * p) along each row
template <class P>
void softmax_rows(P& p, typename P::Scalar scale) {
  for (Eigen::Index j = 0; j < p.rows(); ++j) {
    auto row = p.row(j).array();
    row = ((row - row.maxCoeff()) * scale).exp();
    row *= 1 / row.sum();
  }
}

// dp becomes scale * p * (dp - rowsum(dp * p)): the gradient of what p is the softmax of.
template <class P, class DP>
void softmax_rows_backward(const P& p, DP& dp, typename DP::Scalar scale) {
  for (Eigen::Index j = 0; j < dp.rows(); ++j) {
    const auto dot = dp.row(j).dot(p.row(j));
    dp.row(j).array() = p.row(j).array() * (dp.row(j).array() - dot) * scale;
  }
}

}  // namespace ddpm::cpu
