// Random tensors. Every stream is addressed, none has state: see philox.h for the rule and for why
// a run resumes, batches split and backends agree bit for bit.
#pragma once

#include <string_view>

#include "framework/core/dispatch.h"
#include "framework/core/tensor.h"

namespace ddpm {

// Values of one stream. The counter lives in device memory, so that a captured step draws new
// numbers at every replay.
struct RandomStream {
  uint64_t seed = 0;
  uint32_t site = 0;
  Tensor counter;  // (2) i64: step, index of the first row of the batch
};

// FNV-1a of a path: the `site` of a stream.
uint32_t random_site(std::string_view path);
// A counter at a fixed place: for initialisation, evaluation and tests.
Tensor random_counter(int64_t step, int64_t first_row, Device device);

// y is (N, ...), f32 or f64; its rows are rows first_row .. first_row + N - 1 of the stream.
void fill_normal(const RandomStream& stream, Tensor& y);
void fill_uniform(const RandomStream& stream, double low, double high, Tensor& y);
// y is (N) i32, uniform on {0, ..., bound - 1}.
void fill_randint(const RandomStream& stream, int64_t bound, Tensor& y);
// y is (N) i32: the next N positions of an endless pass over {0, ..., size - 1}, a fresh keyed
// permutation in every epoch (a Feistel network with cycle walking). The position of the first is
// step * N, so that the order of the data is a function of the step alone.
void fill_epoch_indices(const RandomStream& stream, int64_t size, Tensor& y);

DDPM_KERNEL(void normal(const RandomStream& stream, Tensor& y));
DDPM_KERNEL(void uniform(const RandomStream& stream, double low, double high, Tensor& y));
DDPM_KERNEL(void randint(const RandomStream& stream, int64_t bound, Tensor& y));
DDPM_KERNEL(void epoch_indices(const RandomStream& stream, int64_t size, Tensor& y));

}  // namespace ddpm
