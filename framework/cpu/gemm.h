// Eigen's view of our row-major blocks: the matrix products of the CPU backend that have no kernel
// of their own are written with these maps. For .cpp files only: it includes Eigen.
#pragma once

// g++ 12 takes the "undefined" operands inside its own AVX-512 intrinsics for uninitialised
// variables (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <Eigen/Core>
#pragma GCC diagnostic pop
#include <cstdint>

namespace ddpm::cpu {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using RowVector = Eigen::Matrix<T, 1, Eigen::Dynamic>;

// rows x columns elements at `data`, successive rows `stride` elements apart.
template <class T>
auto matrix(T* data, int64_t rows, int64_t columns, int64_t stride) {
  return Eigen::Map<Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>(
      data, rows, columns, Eigen::OuterStride<>(stride));
}
template <class T>
auto matrix(const T* data, int64_t rows, int64_t columns, int64_t stride) {
  return Eigen::Map<const Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>(
      data, rows, columns, Eigen::OuterStride<>(stride));
}

template <class T>
auto row_vector(const T* data, int64_t columns) {
  return Eigen::Map<const RowVector<T>>(data, columns);
}

}  // namespace ddpm::cpu
