// Rows of a table by number.
//
//   y[n, :] = table[rows[n], :]        dtable[k, :] = sum over n with rows[n] = k of dy[n, :]
#pragma once

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

// table (K, D), rows (N) i32 in {0, ..., K - 1} -> (N, D). Row numbers live on the device and are
// the caller's to check.
Tensor embedding(const Tensor& table, const Tensor& rows);

DDPM_KERNEL(void embedding_forward(const Tensor& table, const Tensor& rows, Tensor& y));
// Rows are summed in the order of n, whatever the number of threads.
DDPM_KERNEL(void embedding_backward(const Tensor& dy, const Tensor& rows, Tensor& dtable));

}  // namespace ddpm
