// CUDA kernels of framework/ops/losses.h: a block reduces one sample, in an order that depends on
// the size of the sample alone. The formulas are those of loss_math.h.
#include "framework/cuda/block_reduce.cuh"
#include "framework/cuda/launch.cuh"
#include "framework/ops/loss_math.h"
#include "framework/ops/losses.h"
#include "framework/ops/softmax.cuh"

namespace ddpm::cuda {
namespace {

// y[n] = factor * sum over row n of f(x[i]...)
template <class F, class T, class... In>
__global__ void row_sum_kernel(F f, double factor, int64_t columns, T* y, const In*... in) {
  const int64_t first = int64_t{blockIdx.x} * columns;
  T total = 0;
  for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) total += f(in[first + j]...);
  total = block_sum(total);
  if (threadIdx.x == 0) y[blockIdx.x] = static_cast<T>(factor * static_cast<double>(total));
}

template <class F, class... Inputs>
void row_means(F f, double factor, Tensor& y, const Tensor& first, const Inputs&... rest) {
  const int64_t columns = first.numel() / y.numel();
  const double weight = factor / static_cast<double>(columns);
  DDPM_FLOATS(y.dtype(), T, {
    const auto run = [&](const auto*... in) {
      launch(row_sum_kernel<F, T, std::remove_cvref_t<decltype(*in)>...>, y.numel(), kThreads, 0, f,
             weight, columns, y.data<T>(), in...);
    };
    run(static_cast<const T*>(first.data<T>()), static_cast<const T*>(rest.template data<T>())...);
  });
}

template <class T>
__global__ void squared_error_backward_kernel(T factor, int64_t columns, int64_t n,
                                              const T* prediction, const T* target, const T* dy,
                                              T* dprediction) {
  const int64_t i = global_thread();
  if (i >= n) return;
  dprediction[i] = factor * dy[i / columns] * math::SquaredErrorGrad{}(prediction[i], target[i]);
}

// The gradients of row_means for a term with a mean and a log variance.
template <class F, class T, class... In>
__global__ void normal_backward_kernel(F f, T factor, int64_t columns, int64_t n, const T* dy,
                                       T* dmean, T* dlog_variance, const In*... in) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const T weight = factor * dy[i / columns];
  const math::NormalGrad<T> slope = f(in[i]...);
  dmean[i] = weight * slope.mean;
  dlog_variance[i] = weight * slope.log_variance;
}

template <class F, class... Inputs>
void row_mean_gradients(F f, const Tensor& dy, Tensor& dmean, Tensor& dlog_variance,
                        const Inputs&... inputs) {
  const int64_t n = dmean.numel(), columns = n / dy.numel();
  DDPM_FLOATS(dy.dtype(), T, {
    const T factor = static_cast<T>(math::kBitsPerNat / static_cast<double>(columns));
    const auto run = [&](const auto*... in) {
      launch(normal_backward_kernel<F, T, std::remove_cvref_t<decltype(*in)>...>, blocks_for(n),
             kThreads, 0, f, factor, columns, n, dy.data<T>(), dmean.data<T>(),
             dlog_variance.data<T>(), in...);
    };
    run(static_cast<const T*>(inputs.template data<T>())...);
  });
}

// One warp per row of logits.
template <class T>
__global__ void cross_entropy_forward_kernel(int64_t rows, int64_t classes, const T* logits,
                                             const int32_t* labels, T* y) {
  const int64_t n = warp_row();
  if (n >= rows) return;
  const T* row = logits + n * classes;
  const SoftmaxRow<T> softmax = softmax_row<1>(row, classes, T(1));
  if (threadIdx.x % kWarp == 0) y[n] = std::log(softmax.total) + softmax.largest - row[labels[n]];
}

template <class T>
__global__ void cross_entropy_backward_kernel(int64_t rows, int64_t classes, const T* logits,
                                              const int32_t* labels, const T* dy, T* dlogits) {
  const int64_t n = warp_row();
  if (n >= rows) return;
  const T* row = logits + n * classes;
  const SoftmaxRow<T> softmax = softmax_row<1>(row, classes, T(1));
  for (int64_t k = threadIdx.x % kWarp; k < classes; k += kWarp) {
    const T probability = math::exp(row[k] - softmax.largest) / softmax.total;
    dlogits[n * classes + k] = dy[n] * (probability - (k == labels[n] ? T(1) : T(0)));
  }
}

double half_bin(int levels) { return 1.0 / (levels - 1); }

}  // namespace

void squared_error_forward(const Tensor& prediction, const Tensor& target, Tensor& y) {
  row_means(math::SquaredError{}, 1, y, prediction, target);
}

void squared_error_backward(const Tensor& prediction, const Tensor& target, const Tensor& dy,
                            Tensor& dprediction) {
  const int64_t n = prediction.numel(), columns = n / dy.numel();
  DDPM_FLOATS(dy.dtype(), T, {
    launch(squared_error_backward_kernel<T>, blocks_for(n), kThreads, 0,
           static_cast<T>(1 / static_cast<double>(columns)), columns, n, prediction.data<T>(),
           target.data<T>(), dy.data<T>(), dprediction.data<T>());
  });
}

void normal_kl_forward(const Tensor& mean1, const Tensor& log_variance1, const Tensor& mean2,
                       const Tensor& log_variance2, Tensor& y) {
  row_means(math::NormalKl{}, math::kBitsPerNat, y, mean1, log_variance1, mean2, log_variance2);
}

void normal_kl_backward(const Tensor& mean1, const Tensor& log_variance1, const Tensor& mean2,
                        const Tensor& log_variance2, const Tensor& dy, Tensor& dmean2,
                        Tensor& dlog_variance2) {
  row_mean_gradients(math::NormalKlGrad{}, dy, dmean2, dlog_variance2, mean1, log_variance1, mean2,
                     log_variance2);
}

void discretized_normal_nll_forward(const Tensor& x, const Tensor& mean, const Tensor& log_variance,
                                    int levels, Tensor& y) {
  row_means(math::DiscretizedNormalNll{half_bin(levels)}, math::kBitsPerNat, y, x, mean,
            log_variance);
}

void discretized_normal_nll_backward(const Tensor& x, const Tensor& mean,
                                     const Tensor& log_variance, int levels, const Tensor& dy,
                                     Tensor& dmean, Tensor& dlog_variance) {
  row_mean_gradients(math::DiscretizedNormalNllGrad{half_bin(levels)}, dy, dmean, dlog_variance, x,
                     mean, log_variance);
}

void normal_nll_forward(const Tensor& x, const Tensor& mean, const Tensor& log_variance,
                        Tensor& y) {
  row_means(math::NormalNll{}, math::kBitsPerNat, y, x, mean, log_variance);
}

void normal_nll_backward(const Tensor& x, const Tensor& mean, const Tensor& log_variance,
                         const Tensor& dy, Tensor& dmean, Tensor& dlog_variance) {
  row_mean_gradients(math::NormalNllGrad{}, dy, dmean, dlog_variance, x, mean, log_variance);
}

void cross_entropy_forward(const Tensor& logits, const Tensor& labels, Tensor& y) {
  const int64_t rows = logits.shape()[0], classes = logits.shape()[1];
  DDPM_FLOATS(y.dtype(), T, {
    launch(cross_entropy_forward_kernel<T>, blocks_for_rows(rows), kThreads, 0, rows, classes,
           logits.data<T>(), labels.data<int32_t>(), y.data<T>());
  });
}

void cross_entropy_backward(const Tensor& logits, const Tensor& labels, const Tensor& dy,
                            Tensor& dlogits) {
  const int64_t rows = logits.shape()[0], classes = logits.shape()[1];
  DDPM_FLOATS(dy.dtype(), T, {
    launch(cross_entropy_backward_kernel<T>, blocks_for_rows(rows), kThreads, 0, rows, classes,
           logits.data<T>(), labels.data<int32_t>(), dy.data<T>(), dlogits.data<T>());
  });
}

}  // namespace ddpm::cuda
