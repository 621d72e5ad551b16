// CUDA kernels of framework/ops/timestep.h. Timesteps and tables are read by the kernels, so a
// captured step sees new ones at every replay.
#include "framework/cuda/row_map.cuh"
#include "framework/ops/scalar_math.h"
#include "framework/ops/timestep.h"

namespace ddpm::cuda {
namespace {

template <class T>
__global__ void timestep_embedding_kernel(math::TimestepEmbedding f, int64_t n, const int32_t* t,
                                          T* y) {
  const int64_t i = global_thread();
  if (i < n) y[i] = static_cast<T>(f(t[i / f.dimension], i % f.dimension));
}

__global__ void next_timestep_kernel(const int32_t* timesteps, int64_t count, int64_t* counter,
                                     int32_t* t, int64_t n) {
  const int64_t step = counter[0];
  const int32_t value = timesteps[step < count ? step : count - 1];
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) t[i] = value;
  __syncthreads();  // all threads have read the counter
  if (threadIdx.x == 0) counter[0] = step + 1;
}

template <class T>
struct Mix {
  const T *a, *b;
  const int32_t* t;
  __device__ auto operator()(int64_t n) const {
    return [a_t = a[t[n]], b_t = b[t[n]]](T u, T v) { return a_t * u + b_t * v; };
  }
};

template <class T>
struct ScaleRow {
  const T* a;
  const int32_t* t;
  __device__ auto operator()(int64_t n) const {
    return [a_t = a[t[n]]](T u) { return a_t * u; };
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
    launch(timestep_embedding_kernel<T>, blocks_for(y.numel()), kThreads, 0, f, y.numel(),
           t.data<int32_t>(), y.data<T>());
  });
}

void timestep_mix_forward(const Tensor& a, const Tensor& u, const Tensor& b, const Tensor& v,
                          const Tensor& t, Tensor& y) {
  const int32_t* steps = t.data<int32_t>();
  DDPM_FLOATS(y.dtype(), T, {
    if (v)
      row_map<T>(Mix<T>{a.data<T>(), b.data<T>(), steps}, y, u, v);
    else
      row_map<T>(ScaleRow<T>{a.data<T>(), steps}, y, u);
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

void next_timestep_forward(const Tensor& timesteps, Tensor& counter, Tensor& t) {
  launch(next_timestep_kernel, 1, kThreads, 0, timesteps.data<int32_t>(), timesteps.numel(),
         counter.data<int64_t>(), t.data<int32_t>(), t.numel());
}

}  // namespace ddpm::cuda
