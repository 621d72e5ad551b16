// CUDA kernels of timestep_draw.h: the CPU's numbers, because the formulas are the same.
#include "framework/cuda/launch.cuh"
#include "framework/ops/timestep_draw.h"

namespace ddpm::cuda {
namespace {

__global__ void stratify_kernel(const double* u, int64_t rows, int64_t timesteps, int32_t* t) {
  const int64_t n = global_thread();
  if (n < rows) t[n] = math::stratified(u[n], n, rows, timesteps);
}

__global__ void mirror_kernel(int64_t rows, int64_t half, int64_t timesteps, int32_t* t) {
  const int64_t n = half + global_thread();
  if (n < rows) t[n] = static_cast<int32_t>(timesteps - 1 - t[n - half]);
}

// A thread looks for its timestep in the whole batch: the order is the batch's, without atomics.
__global__ void record_kernel(const int32_t* t, const float* losses, int64_t rows, int64_t length,
                              int64_t timesteps, float* history, int32_t* counts) {
  const int64_t step = global_thread();
  if (step >= timesteps) return;
  int32_t count = counts[step];
  for (int64_t n = 0; n < rows; ++n)
    if (t[n] == step && std::isfinite(losses[n]))
      history[step * length + math::next_slot(count, length)] = losses[n];
  counts[step] = count;
}

__global__ void second_moment_roots_kernel(const float* history, const int32_t* counts,
                                           int64_t length, int64_t timesteps, double* roots) {
  const int64_t t = global_thread();
  if (t < timesteps) roots[t] = math::second_moment_root(history + t * length, counts[t], length);
}

__global__ void cumulate_kernel(const double* roots, int64_t timesteps, double uniform_share,
                                double* cumulative) {
  if (global_thread() == 0) math::cumulate(roots, timesteps, uniform_share, cumulative);
}

__global__ void draw_from_kernel(const double* cumulative, int64_t timesteps, const double* u,
                                 int64_t rows, int32_t* t, float* weights) {
  const int64_t n = global_thread();
  if (n >= rows) return;
  t[n] = math::draw_from(cumulative, timesteps, u[n]);
  weights[n] = math::draw_weight(cumulative, timesteps, t[n]);
}

}  // namespace

void stratify(const Tensor& u, int64_t timesteps, Tensor& t) {
  launch(stratify_kernel, blocks_for(t.numel()), kThreads, 0, u.data<double>(), t.numel(),
         timesteps, t.data<int32_t>());
}

void mirror(int64_t timesteps, Tensor& t) {
  const int64_t half = (t.numel() + 1) / 2;
  launch(mirror_kernel, blocks_for(t.numel() - half), kThreads, 0, t.numel(), half, timesteps,
         t.data<int32_t>());
}

void record(const Tensor& t, const Tensor& losses, LossHistory& history) {
  const int64_t timesteps = history.losses.shape()[0];
  launch(record_kernel, blocks_for(timesteps), kThreads, 0, t.data<int32_t>(), losses.data<float>(),
         t.numel(), history.losses.shape()[1], timesteps, history.losses.data<float>(),
         history.counts.data<int32_t>());
}

void second_moment_roots(const LossHistory& history, Tensor& roots) {
  launch(second_moment_roots_kernel, blocks_for(roots.numel()), kThreads, 0,
         history.losses.data<float>(), history.counts.data<int32_t>(), history.losses.shape()[1],
         roots.numel(), roots.data<double>());
}

void cumulate(const Tensor& roots, double uniform_share, Tensor& cumulative) {
  launch(cumulate_kernel, 1, kWarp, 0, roots.data<double>(), roots.numel(), uniform_share,
         cumulative.data<double>());
}

void draw_from(const Tensor& cumulative, const Tensor& u, Tensor& t, Tensor& weights) {
  launch(draw_from_kernel, blocks_for(t.numel()), kThreads, 0, cumulative.data<double>(),
         cumulative.numel(), u.data<double>(), t.numel(), t.data<int32_t>(), weights.data<float>());
}

}  // namespace ddpm::cuda
