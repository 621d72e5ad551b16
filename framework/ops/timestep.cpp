#include "framework/ops/timestep.h"

#include <algorithm>
#include <cstring>

#include "framework/autograd/tape.h"
#include "framework/cpu/parallel.h"
#include "framework/ops/scalar_math.h"

namespace ddpm {
namespace {

void check_count(const char* op, const Tensor& t, int64_t samples) {
  DDPM_CHECK(t.shape()[0] == samples, "{}: {} timesteps for {} samples", op, t.shape()[0], samples);
}

void check_timesteps(const char* op, const Tensor& t, int64_t samples) {
  DDPM_CHECK(t.dtype() == DType::kI32 && t.shape().rank() == 1, "{}: t is {} {}, not (N) i32", op,
             name_of(t.dtype()), t.shape());
  check_count(op, t, samples);
}

void check_real_timesteps(const char* op, const Tensor& t) {
  DDPM_CHECK((t.dtype() == DType::kI32 || t.dtype() == DType::kF64) && t.shape().rank() == 1,
             "{}: t is {} {}, not (N) i32 or f64", op, name_of(t.dtype()), t.shape());
}

void check_table(const char* op, const Tensor& table, DType dtype) {
  DDPM_CHECK(table.shape().rank() == 1 && table.dtype() == dtype,
             "{}: the table is {} {}, not (T) {}", op, name_of(table.dtype()), table.shape(),
             name_of(dtype));
}

void check_alike(const char* op, const Tensor& u, const Tensor& v) {
  DDPM_CHECK(u.shape().rank() > 0, "{}: the input is a scalar", op);
  DDPM_CHECK(u.shape() == v.shape() && u.dtype() == v.dtype(), "{}: {} {} and {} {} differ", op,
             name_of(u.dtype()), u.shape(), name_of(v.dtype()), v.shape());
}

void check_rows(const char* op, const Tensor& u, const Tensor& v, const Tensor& t) {
  check_alike(op, u, v);
  check_timesteps(op, t, u.shape()[0]);
}

void check_real_rows(const char* op, const Tensor& u, const Tensor& v, const Tensor& t) {
  check_alike(op, u, v);
  check_real_timesteps(op, t);
  check_count(op, t, u.shape()[0]);
}

}  // namespace

Tensor same_timestep(int32_t t, int64_t count, Device device) {
  return Tensor::from_host(std::vector<int32_t>(static_cast<size_t>(count), t), {count}, device);
}

Tensor timestep_embedding(const Tensor& t, int64_t dimension, DType dtype) {
  DDPM_CHECK(dimension >= 4, "timestep_embedding: dimension {} is below 4", dimension);
  check_real_timesteps("timestep_embedding", t);
  Tensor y = Tensor::empty({t.shape()[0], dimension}, dtype, t.device());
  DDPM_DISPATCH(t.device(), timestep_embedding_forward(t, y));
  return y;
}

Tensor timestep_mix(const Tensor& a, const Tensor& u, const Tensor& b, const Tensor& v,
                    const Tensor& t) {
  check_real_rows("timestep_mix", u, v, t);
  check_table("timestep_mix", a, u.dtype());
  check_table("timestep_mix", b, u.dtype());
  Tensor y = Tensor::like(u);
  DDPM_DISPATCH(u.device(), timestep_mix_forward(a, u, b, v, t, y));
  Tape::record("timestep_mix", {u, v}, y,
               [a, b, t, du = u.slot(), dv = v.slot()](const Tensor& dy) {
                 if (du->requires_grad) accumulate_grad(du, timestep_scale(a, dy, t));
                 if (dv->requires_grad) accumulate_grad(dv, timestep_scale(b, dy, t));
               });
  return y;
}

Tensor timestep_scale(const Tensor& a, const Tensor& u, const Tensor& t) {
  check_real_rows("timestep_scale", u, u, t);
  check_table("timestep_scale", a, u.dtype());
  Tensor y = Tensor::like(u);
  DDPM_DISPATCH(u.device(), timestep_mix_forward(a, u, Tensor(), Tensor(), t, y));
  Tape::record("timestep_scale", {u}, y, [a, t, slot = u.slot()](const Tensor& dy) {
    accumulate_grad(slot, timestep_scale(a, dy, t));
  });
  return y;
}

Tensor timestep_fill(const Tensor& table, const Tensor& t, Shape shape) {
  check_table("timestep_fill", table, table.dtype());
  check_timesteps("timestep_fill", t, shape.rank() > 0 ? shape[0] : 0);
  Tensor y = Tensor::empty(shape, table.dtype(), t.device());
  DDPM_DISPATCH(t.device(), timestep_fill_forward(table, t, y));
  return y;
}

Tensor where_first_timestep(const Tensor& t, const Tensor& first, const Tensor& other) {
  check_rows("where_first_timestep", first, other, t);
  Tensor y = Tensor::like(first);
  DDPM_DISPATCH(t.device(), where_first_timestep_forward(t, first, other, y));
  Tape::record("where_first_timestep", {first, other}, y,
               [t, dfirst = first.slot(), dother = other.slot()](const Tensor& dy) {
                 const auto masked = [&](const Tensor& at_first, const Tensor& elsewhere) {
                   Tensor dx = Tensor::like(dy);
                   DDPM_DISPATCH(dy.device(),
                                 where_first_timestep_forward(t, at_first, elsewhere, dx));
                   return dx;
                 };
                 if (dfirst->requires_grad) accumulate_grad(dfirst, masked(dy, Tensor()));
                 if (dother->requires_grad) accumulate_grad(dother, masked(Tensor(), dy));
               });
  return y;
}

Tensor ancestral_step(const Tensor& mean, const Tensor& log_variance, const Tensor& noise,
                      const Tensor& t) {
  check_rows("ancestral_step", mean, log_variance, t);
  check_rows("ancestral_step", mean, noise, t);
  Tensor y = Tensor::like(mean);
  DDPM_DISPATCH(t.device(), ancestral_step_forward(mean, log_variance, noise, t, y));
  return y;
}

Tensor timestep_sum(const Tensor& table, const std::vector<Tensor>& terms, const Tensor& t) {
  DDPM_CHECK(!terms.empty() && terms.size() <= kMaxTerms, "timestep_sum: {} terms; 1 to {} can be",
             terms.size(), kMaxTerms);
  for (const Tensor& term : terms) check_rows("timestep_sum", terms[0], term, t);
  DDPM_CHECK(table.dtype() == terms[0].dtype() && table.shape().rank() == 2 &&
                 table.shape()[1] == static_cast<int64_t>(terms.size()),
             "timestep_sum: the table is {} {}, not (T, {}) {}", name_of(table.dtype()),
             table.shape(), terms.size(), name_of(terms[0].dtype()));
  Tensor y = Tensor::like(terms[0]);
  DDPM_DISPATCH(y.device(), timestep_sum_forward(table, terms, t, y));
  return y;
}

void next_timestep(const Tensor& timesteps, Tensor& counter, Tensor& index, Tensor& t) {
  check_real_timesteps("next_timestep", timesteps);
  DDPM_CHECK(t.dtype() == timesteps.dtype() && t.shape().rank() == 1,
             "next_timestep: t is {} {}, not (N) {}", name_of(t.dtype()), t.shape(),
             name_of(timesteps.dtype()));
  check_timesteps("next_timestep", index, t.shape()[0]);
  DDPM_CHECK(counter.dtype() == DType::kI64 && counter.shape() == Shape({2}),
             "next_timestep: the counter is {} {}, not (2) i64", name_of(counter.dtype()),
             counter.shape());
  DDPM_DISPATCH(t.device(), next_timestep_forward(timesteps, counter, index, t));
}

namespace cpu {
namespace {

// body(n, begin, end) for the pieces of row n of a (rows, columns) matrix, begin and end counting
// elements of the whole: short rows share a piece, long ones are cut.
template <class Body>
void for_row_pieces(const Tensor& y, Body&& body) {
  const int64_t columns = std::max<int64_t>(1, y.numel() / std::max<int64_t>(1, y.shape()[0]));
  parallel_ranges(y.numel(), kElementGrain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t n = begin / columns, stop = std::min(end, (n + 1) * columns);
      body(n, begin, stop);
      begin = stop;
    }
  });
}

}  // namespace

void timestep_embedding_forward(const Tensor& t, Tensor& y) {
  const int64_t dimension = y.shape()[1];
  DDPM_NETWORK_FLOATS(y.dtype(), T, {
    T* out = y.data<T>();
    with_timesteps(t, [&](const auto* steps) {
      parallel_for(y.shape()[0], [&](int64_t n) {
        for (int64_t i = 0; i < dimension; ++i)
          out[n * dimension + i] = static_cast<T>(math::TimestepEmbedding{dimension}(steps[n], i));
      });
    });
  });
}

void timestep_mix_forward(const Tensor& a, const Tensor& u, const Tensor& b, const Tensor& v,
                          const Tensor& t, Tensor& y) {
  DDPM_FLOATS(y.dtype(), T, {
    const T* first = u.data<T>();
    const T* second = v ? v.data<T>() : nullptr;
    T* __restrict out = y.data<T>();
    with_timesteps(t, [&](const auto* steps) {
      for_row_pieces(y, [&](int64_t n, int64_t begin, int64_t end) {
        const T weight = math::at_timestep(a.data<T>(), steps[n]);
        if (!second) {
          for (int64_t i = begin; i < end; ++i) out[i] = weight * first[i];
          return;
        }
        const T other = math::at_timestep(b.data<T>(), steps[n]);
        for (int64_t i = begin; i < end; ++i) out[i] = weight * first[i] + other * second[i];
      });
    });
  });
}

void timestep_fill_forward(const Tensor& table, const Tensor& t, Tensor& y) {
  const int32_t* steps = t.data<int32_t>();
  DDPM_FLOATS(y.dtype(), T, {
    for_row_pieces(y, [&](int64_t n, int64_t begin, int64_t end) {
      std::fill(y.data<T>() + begin, y.data<T>() + end, table.data<T>()[steps[n]]);
    });
  });
}

void where_first_timestep_forward(const Tensor& t, const Tensor& first, const Tensor& other,
                                  Tensor& y) {
  const int32_t* steps = t.data<int32_t>();
  DDPM_FLOATS(y.dtype(), T, {
    for_row_pieces(y, [&](int64_t n, int64_t begin, int64_t end) {
      const Tensor& chosen = steps[n] == 0 ? first : other;
      T* out = y.data<T>();
      if (chosen) {
        std::copy(chosen.data<T>() + begin, chosen.data<T>() + end, out + begin);
      } else {
        std::fill(out + begin, out + end, T(0));
      }
    });
  });
}

void ancestral_step_forward(const Tensor& mean, const Tensor& log_variance, const Tensor& noise,
                            const Tensor& t, Tensor& y) {
  const int32_t* steps = t.data<int32_t>();
  DDPM_FLOATS(y.dtype(), T, {
    const T *m = mean.data<T>(), *lv = log_variance.data<T>(), *z = noise.data<T>();
    T* __restrict out = y.data<T>();
    for_row_pieces(y, [&](int64_t n, int64_t begin, int64_t end) {
      if (steps[n] == 0) {
        std::copy(m + begin, m + end, out + begin);
        return;
      }
      for (int64_t i = begin; i < end; ++i) out[i] = m[i] + math::exp(T(0.5) * lv[i]) * z[i];
    });
  });
}

void timestep_sum_forward(const Tensor& table, const std::vector<Tensor>& terms, const Tensor& t,
                          Tensor& y) {
  const int32_t* steps = t.data<int32_t>();
  DDPM_FLOATS(y.dtype(), T, {
    T* __restrict out = y.data<T>();
    for_row_pieces(y, [&](int64_t n, int64_t begin, int64_t end) {
      const T* weights = table.data<T>() + steps[n] * static_cast<int64_t>(terms.size());
      std::fill(out + begin, out + end, T(0));
      for (size_t j = 0; j < terms.size(); ++j) {
        const T* in = terms[j].data<T>();
        const T weight = weights[j];
        if (weight == 0) continue;
        for (int64_t i = begin; i < end; ++i) out[i] += weight * in[i];
      }
    });
  });
}

void next_timestep_forward(const Tensor& timesteps, Tensor& counter, Tensor& index, Tensor& t) {
  int64_t& step = counter.data<int64_t>()[0];
  const int64_t place = std::min(step, timesteps.numel() - 1);
  std::fill_n(index.data<int32_t>(), index.numel(), static_cast<int32_t>(place));
  with_timesteps(timesteps, [&]<class T>(const T* values) {
    std::fill_n(t.data<T>(), t.numel(), values[place]);
  });
  ++step;
}

}  // namespace cpu
}  // namespace ddpm
