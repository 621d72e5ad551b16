// CUDA kernels of concat.h: copies of rows between tensors of different row lengths. Elements are
// only moved, so their type does not matter, only their size.
#include "framework/cuda/launch.cuh"
#include "framework/cuda/vector_load.cuh"
#include "framework/ops/concat.h"

namespace ddpm::cuda {
namespace {

// Units of T; strides and length of a row are given in units. Divisions of 32 bits are several
// times as fast as those of 64.
template <class T>
__global__ void copy_rows_kernel(const T* from, int64_t from_stride, T* to, int64_t to_stride,
                                 uint32_t length, uint32_t count) {
  const int64_t i = global_thread();
  if (i >= count) return;
  const uint32_t unit = static_cast<uint32_t>(i);
  const int64_t row = unit / length, column = unit % length;
  to[row * to_stride + column] = from[row * from_stride + column];
}

template <class T>
void launch_copy_rows(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride,
                      int64_t length, int64_t rows) {
  constexpr int64_t kUnit = sizeof(T);
  const int64_t count = rows * length / kUnit;
  DDPM_ASSERT(count <= UINT32_MAX, "{} rows of {} bytes", rows, length);
  launch(copy_rows_kernel<T>, blocks_for(count), kThreads, 0, reinterpret_cast<const T*>(from),
         from_stride / kUnit, reinterpret_cast<T*>(to), to_stride / kUnit,
         static_cast<uint32_t>(length / kUnit), static_cast<uint32_t>(count));
}

// All lengths in bytes. The widest unit that divides every address is moved at a time.
void copy_rows(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride,
               int64_t length, int64_t rows) {
  const uintptr_t bits = reinterpret_cast<uintptr_t>(from) | reinterpret_cast<uintptr_t>(to) |
                         static_cast<uintptr_t>(from_stride | to_stride | length);
  if (bits % 16 == 0)
    launch_copy_rows<Packed<float>>(from, from_stride, to, to_stride, length, rows);
  else if (bits % 4 == 0)
    launch_copy_rows<uint32_t>(from, from_stride, to, to_stride, length, rows);
  else
    launch_copy_rows<uint8_t>(from, from_stride, to, to_stride, length, rows);
}

}  // namespace

void concat(const Tensor& a, const Tensor& b, Tensor& y) {
  const int64_t element = static_cast<int64_t>(size_of(y.dtype()));
  const int64_t a_row = a.shape()[-1] * element, b_row = b.shape()[-1] * element;
  const int64_t y_row = a_row + b_row, rows = y.numel() * element / y_row;
  copy_rows(a.raw(), a_row, y.raw(), y_row, a_row, rows);
  copy_rows(b.raw(), b_row, y.raw() + a_row, y_row, b_row, rows);
}

void split(const Tensor& y, Tensor& a, Tensor& b) {
  const int64_t element = static_cast<int64_t>(size_of(y.dtype()));
  const int64_t y_row = y.shape()[-1] * element, rows = y.numel() * element / y_row;
  const int64_t a_row = a ? a.shape()[-1] * element : y_row - b.shape()[-1] * element;
  const int64_t b_row = y_row - a_row;
  if (a) copy_rows(y.raw(), y_row, a.raw(), a_row, a_row, rows);
  if (b) copy_rows(y.raw() + a_row, y_row, b.raw(), b_row, b_row, rows);
}

}  // namespace ddpm::cuda
