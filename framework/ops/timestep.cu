// CUDA kernels of framework/ops/timestep.h. Timesteps and tables are read by the kernels, so a
// captured step sees new ones at every replay.
#include "framework/cuda/row_map.cuh"
#include "framework/ops/scalar_math.h"
#include "framework/ops/timestep.h"

namespace ddpm::cuda {
namespace {

template <class T, class Step>
__global__ void timestep_embedding_kernel(math::TimestepEmbedding f, int64_t n, const Step* t,
                                          T* y) {
  const int64_t i = global_thread();
  if (i < n) y[i] = static_cast<T>(f(t[i / f.dimension], i % f.dimension));
}

template <class Step>
__global__ void next_timestep_kernel(const Step* timesteps, int64_t count, int64_t* counter,
                                     int32_t* index, Step* t, int64_t n) {
  const int64_t step = counter[0], place = step < count ? step : count - 1;
  const Step value = timesteps[place];
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    index[i] = static_cast<int32_t>(place);
    t[i] = value;
  }
  __syncthreads();  // all threads have read the counter
  if (threadIdx.x == 0) counter[0] = step + 1;
}

template <class T>
struct Terms {
  const T* values[kMaxTerms];
  int count;
};

template <class T>
__global__ void timestep_sum_kernel(const T* table, Terms<T> terms, const int32_t* t,
                                    int64_t columns, int64_t n, T* y) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const T* weights = table + static_cast<int64_t>(t[i / columns]) * terms.count;
  T sum = 0;
  for (int j = 0; j < terms.count; ++j) {
    const T weight = weights[j];
    if (weight != 0) sum += weight * terms.values[j][i];
  }
  y[i] = sum;
}

template <class T, class Step>
struct Mix {
  const T *a, *b;
  const Step* t;
  __device__ auto operator()(int64_t n) const {
    return [a_t = math::at_timestep(a, t[n]), b_t = math::at_timestep(b, t[n])](T u, T v) {
      return a_t * u + b_t * v;
    };
  }
};

template <class T, class Step>
struct ScaleRow {
  const T* a;
  const Step* t;
  __device__ auto operator()(int64_t n) const {
    return [a_t = math::at_timestep(a, t[n])](T u) { return a_t * u; };
  }
};

template <class T>
struct Fill {
  const T* table;
  const int32_t* t;
  __device__ auto operator()(int64_t n) const {
    return [value = table[t[n]]] { return value; };
  }
};

template <class T>
struct WhereFirst {
  const int32_t* t;
  __device__ auto operator()(int64_t n) const {
    return [is_first = t[n] == 0](T first, T other) { return is_first ? first : other; };
  }
};

// x where (t == 0) is `first`, zero elsewhere.
template <class T>
struct MaskFirst {
  const int32_t* t;
  bool first;
  __device__ auto operator()(int64_t n) const {
    return [keep = (t[n] == 0) == first](T x) { return keep ? x : T(0); };
  }
};

template <class T>
struct Ancestral {
  const int32_t* t;
  __device__ auto operator()(int64_t n) const {
    return [is_last = t[n] == 0](T mean, T log_variance, T noise) {
      return is_last ? mean : mean + math::exp(T(0.5) * log_variance) * noise;
    };
  }
};

}  // namespace

void timestep_embedding_forward(const Tensor& t, Tensor& y) {
  const math::TimestepEmbedding f{y.shape()[1]};
  DDPM_NETWORK_FLOATS(y.dtype(), T, {
    with_timesteps(t, [&]<class Step>(const Step* steps) {
      launch(timestep_embedding_kernel<T, Step>, blocks_for(y.numel()), kThreads, 0, f, y.numel(),
             steps, y.data<T>());
    });
  });
}

void timestep_mix_forward(const Tensor& a, const Tensor& u, const Tensor& b, const Tensor& v,
                          const Tensor& t, Tensor& y) {
  DDPM_FLOATS(y.dtype(), T, {
    with_timesteps(t, [&]<class Step>(const Step* steps) {
      if (v)
        row_map<T>(Mix<T, Step>{a.data<T>(), b.data<T>(), steps}, y, u, v);
      else
        row_map<T>(ScaleRow<T, Step>{a.data<T>(), steps}, y, u);
    });
  });
}

void timestep_fill_forward(const Tensor& table, const Tensor& t, Tensor& y) {
  DDPM_FLOATS(y.dtype(), T, { row_map<T>(Fill<T>{table.data<T>(), t.data<int32_t>()}, y); });
}

void where_first_timestep_forward(const Tensor& t, const Tensor& first, const Tensor& other,
                                  Tensor& y) {
  const int32_t* steps = t.data<int32_t>();
  DDPM_FLOATS(y.dtype(), T, {
    if (first && other)
      row_map<T>(WhereFirst<T>{steps}, y, first, other);
    else
      row_map<T>(MaskFirst<T>{steps, static_cast<bool>(first)}, y, first ? first : other);
  });
}

void ancestral_step_forward(const Tensor& mean, const Tensor& log_variance, const Tensor& noise,
                            const Tensor& t, Tensor& y) {
  DDPM_FLOATS(y.dtype(), T,
              { row_map<T>(Ancestral<T>{t.data<int32_t>()}, y, mean, log_variance, noise); });
}

void timestep_sum_forward(const Tensor& table, const std::vector<Tensor>& terms, const Tensor& t,
                          Tensor& y) {
  if (y.numel() == 0) return;
  DDPM_FLOATS(y.dtype(), T, {
    Terms<T> in = {};
    for (const Tensor& term : terms) in.values[in.count++] = term.data<T>();
    launch(timestep_sum_kernel<T>, blocks_for(y.numel()), kThreads, 0, table.data<T>(), in,
           t.data<int32_t>(), y.numel() / y.shape()[0], y.numel(), y.data<T>());
  });
}

void next_timestep_forward(const Tensor& timesteps, Tensor& counter, Tensor& index, Tensor& t) {
  with_timesteps(timesteps, [&]<class Step>(const Step* values) {
    launch(next_timestep_kernel<Step>, 1, kThreads, 0, values, timesteps.numel(),
           counter.data<int64_t>(), index.data<int32_t>(), t.data<Step>(), t.numel());
  });
}

}  // namespace ddpm::cuda
