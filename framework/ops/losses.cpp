#include "framework/ops/losses.h"

#include <algorithm>

#include "framework/autograd/tape.h"
#include "framework/cpu/parallel.h"
#include "framework/ops/loss_math.h"

namespace ddpm {
namespace {

void check_same(const char* op, const Tensor& x, std::initializer_list<const Tensor*> others) {
  DDPM_CHECK(x.shape().rank() > 0 && x.numel() > 0, "{}: the input {} is empty", op, x.shape());
  for (const Tensor* other : others)
    DDPM_CHECK(x.shape() == other->shape() && x.dtype() == other->dtype(),
               "{}: {} {} and {} {} differ", op, name_of(x.dtype()), x.shape(),
               name_of(other->dtype()), other->shape());
}

void check_data(const char* op, const Tensor& x) {
  DDPM_ASSERT(!Tape::is_recording({x}), "{}: the data cannot require a gradient", op);
}

Tensor per_sample(const Tensor& x) { return Tensor::empty({x.shape()[0]}, x.dtype(), x.device()); }

}  // namespace

Tensor squared_error(const Tensor& prediction, const Tensor& target) {
  check_same("squared_error", prediction, {&target});
  check_data("squared_error", target);
  Tensor y = per_sample(prediction);
  DDPM_DISPATCH(y.device(), squared_error_forward(prediction, target, y));
  Tape::record("squared_error", {prediction}, y, [prediction, target](const Tensor& dy) {
    Tensor dprediction = Tensor::like(prediction);
    DDPM_DISPATCH(dy.device(), squared_error_backward(prediction, target, dy, dprediction));
    accumulate_grad(prediction.slot(), dprediction);
  });
  return y;
}

Tensor normal_kl(const Tensor& mean1, const Tensor& log_variance1, const Tensor& mean2,
                 const Tensor& log_variance2) {
  check_same("normal_kl", mean1, {&log_variance1, &mean2, &log_variance2});
  check_data("normal_kl", mean1);
  check_data("normal_kl", log_variance1);
  Tensor y = per_sample(mean1);
  DDPM_DISPATCH(y.device(), normal_kl_forward(mean1, log_variance1, mean2, log_variance2, y));
  Tape::record("normal_kl", {mean2, log_variance2}, y, [=](const Tensor& dy) {
    Tensor dmean2 = Tensor::like(mean2), dlog_variance2 = Tensor::like(mean2);
    DDPM_DISPATCH(dy.device(), normal_kl_backward(mean1, log_variance1, mean2, log_variance2, dy,
                                                  dmean2, dlog_variance2));
    accumulate_grad(mean2.slot(), dmean2);
    accumulate_grad(log_variance2.slot(), dlog_variance2);
  });
  return y;
}

Tensor discretized_normal_nll(const Tensor& x, const Tensor& mean, const Tensor& log_variance,
                              int levels) {
  check_same("discretized_normal_nll", x, {&mean, &log_variance});
  check_data("discretized_normal_nll", x);
  DDPM_CHECK(levels >= 2, "discretized_normal_nll: {} levels; at least two are needed", levels);
  Tensor y = per_sample(x);
  DDPM_DISPATCH(y.device(), discretized_normal_nll_forward(x, mean, log_variance, levels, y));
  Tape::record("discretized_normal_nll", {mean, log_variance}, y, [=](const Tensor& dy) {
    Tensor dmean = Tensor::like(mean), dlog_variance = Tensor::like(mean);
    DDPM_DISPATCH(dy.device(), discretized_normal_nll_backward(x, mean, log_variance, levels, dy,
                                                               dmean, dlog_variance));
    accumulate_grad(mean.slot(), dmean);
    accumulate_grad(log_variance.slot(), dlog_variance);
  });
  return y;
}

Tensor normal_nll(const Tensor& x, const Tensor& mean, const Tensor& log_variance) {
  check_same("normal_nll", x, {&mean, &log_variance});
  check_data("normal_nll", x);
  Tensor y = per_sample(x);
  DDPM_DISPATCH(y.device(), normal_nll_forward(x, mean, log_variance, y));
  Tape::record("normal_nll", {mean, log_variance}, y, [=](const Tensor& dy) {
    Tensor dmean = Tensor::like(mean), dlog_variance = Tensor::like(mean);
    DDPM_DISPATCH(dy.device(),
                  normal_nll_backward(x, mean, log_variance, dy, dmean, dlog_variance));
    accumulate_grad(mean.slot(), dmean);
    accumulate_grad(log_variance.slot(), dlog_variance);
  });
  return y;
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  DDPM_CHECK(logits.shape().rank() == 2 && logits.shape()[1] > 0 &&
                 labels.shape() == Shape({logits.shape()[0]}) && labels.dtype() == DType::kI32,
             "cross_entropy: logits {} and labels {} are not (N, K) and (N) i32", logits.shape(),
             labels.shape());
  Tensor y = per_sample(logits);
  DDPM_DISPATCH(y.device(), cross_entropy_forward(logits, labels, y));
  Tape::record("cross_entropy", {logits}, y, [logits, labels](const Tensor& dy) {
    Tensor dlogits = Tensor::like(logits);
    DDPM_DISPATCH(dy.device(), cross_entropy_backward(logits, labels, dy, dlogits));
    accumulate_grad(logits.slot(), dlogits);
  });
  return y;
}

namespace cpu {
namespace {

int64_t rows_per_piece(int64_t columns) { return std::max<int64_t>(1, kElementGrain / columns); }

// y[n] = factor * mean over row n of f(x[i]...). The lanes let the compiler vectorise the sum,
// whose order depends on the row alone.
template <class F, class... Inputs>
void row_means(F f, double factor, Tensor& y, const Tensor& first, const Inputs&... rest) {
  constexpr int kLanes = 16;
  const int64_t rows = y.numel(), columns = first.numel() / rows;
  DDPM_FLOATS(y.dtype(), T, {
    T* out = y.data<T>();
    const auto run = [&](const auto*... in) {
      parallel_ranges(rows, rows_per_piece(columns), [&](int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; ++n) {
          T lanes[kLanes] = {};
          int64_t i = n * columns;
          const int64_t stop = i + columns;
          for (; i + kLanes <= stop; i += kLanes)
            for (int l = 0; l < kLanes; ++l) lanes[l] += f(in[i + l]...);
          for (int l = 0; i + l < stop; ++l) lanes[l] += f(in[i + l]...);
          double total = 0;
          for (T lane : lanes) total += static_cast<double>(lane);
          out[n] = static_cast<T>(factor * total / static_cast<double>(columns));
        }
      });
    };
    run(static_cast<const T*>(first.data<T>()), static_cast<const T*>(rest.template data<T>())...);
  });
}

// write(i, dy[n] * factor / columns) for every element i of every row n.
template <class T, class Write>
void for_row_gradients(const Tensor& dy, double factor, int64_t numel, Write&& write) {
  const int64_t columns = numel / dy.numel();
  const T* in = dy.data<T>();
  parallel_ranges(dy.numel(), rows_per_piece(columns), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      const T weight = in[n] * static_cast<T>(factor / static_cast<double>(columns));
      for (int64_t i = n * columns; i < (n + 1) * columns; ++i) write(i, weight);
    }
  });
}

// The gradients of row_means for a term with a mean and a log variance.
template <class F, class... Inputs>
void row_mean_gradients(F f, const Tensor& dy, Tensor& dmean, Tensor& dlog_variance,
                        const Inputs&... inputs) {
  DDPM_FLOATS(dy.dtype(), T, {
    T *out_mean = dmean.data<T>(), *out_log_variance = dlog_variance.data<T>();
    const auto run = [&](const auto*... in) {
      for_row_gradients<T>(dy, math::kBitsPerNat, dmean.numel(), [&](int64_t i, T weight) {
        const math::NormalGrad<T> slope = f(in[i]...);
        out_mean[i] = weight * slope.mean;
        out_log_variance[i] = weight * slope.log_variance;
      });
    };
    run(static_cast<const T*>(inputs.template data<T>())...);
  });
}

double half_bin(int levels) { return 1.0 / (levels - 1); }

}  // namespace

void squared_error_forward(const Tensor& prediction, const Tensor& target, Tensor& y) {
  row_means(math::SquaredError{}, 1, y, prediction, target);
}

void squared_error_backward(const Tensor& prediction, const Tensor& target, const Tensor& dy,
                            Tensor& dprediction) {
  DDPM_FLOATS(dy.dtype(), T, {
    const T *p = prediction.data<T>(), *q = target.data<T>();
    T* __restrict out = dprediction.data<T>();
    for_row_gradients<T>(dy, 1, prediction.numel(), [&](int64_t i, T weight) {
      out[i] = weight * math::SquaredErrorGrad{}(p[i], q[i]);
    });
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
  const int64_t classes = logits.shape()[1];
  const int32_t* label = labels.data<int32_t>();
  DDPM_FLOATS(y.dtype(), T, {
    T* out = y.data<T>();
    parallel_ranges(y.numel(), rows_per_piece(classes), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const T* row = logits.data<T>() + n * classes;
        const T largest = *std::max_element(row, row + classes);
        T total = 0;
        for (int64_t k = 0; k < classes; ++k) total += math::exp(row[k] - largest);
        out[n] = std::log(total) + largest - row[label[n]];
      }
    });
  });
}

void cross_entropy_backward(const Tensor& logits, const Tensor& labels, const Tensor& dy,
                            Tensor& dlogits) {
  const int64_t classes = logits.shape()[1];
  const int32_t* label = labels.data<int32_t>();
  DDPM_FLOATS(dy.dtype(), T, {
    parallel_ranges(dy.numel(), rows_per_piece(classes), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const T* row = logits.data<T>() + n * classes;
        T* out = dlogits.data<T>() + n * classes;
        const T largest = *std::max_element(row, row + classes);
        T total = 0;
        for (int64_t k = 0; k < classes; ++k) total += out[k] = math::exp(row[k] - largest);
        const T weight = dy.data<T>()[n] / total;
        for (int64_t k = 0; k < classes; ++k) out[k] *= weight;
        out[label[n]] -= dy.data<T>()[n];
      }
    });
  });
}

}  // namespace cpu
}  // namespace ddpm
