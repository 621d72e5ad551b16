// What the metrics share of Eigen. Included by sources only.
#pragma once

// GCC 12 takes the undefined inputs of AVX-512 intrinsics in Eigen for uninitialised variables (GCC
// bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <Eigen/Core>

#include "framework/core/tensor.h"

namespace ddpm {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstMatrix = Eigen::Map<const Matrix>;
using Rows =
    Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

// Features (N, D) on the host.
inline Rows rows_of(const Tensor& features) {
  DDPM_ASSERT(features.shape().rank() == 2 && features.device() == Device::kCpu,
              "features {} on {}", features.shape(), name_of(features.device()));
  return Rows(features.data<float>(), features.shape()[0], features.shape()[1]);
}

}  // namespace ddpm
