// The formula of every per-element loss term and its derivatives, written once for both backends.
// Terms are in nats; whoever sums them converts to bits per dimension.
#pragma once

#include <cmath>

#include "framework/core/host_device.h"
#include "framework/ops/scalar_math.h"

namespace ddpm::math {

inline constexpr double kBitsPerNat = 1.4426950408889634;  // 1 / ln 2

struct SquaredError {
  template <class T>
  DDPM_HD T operator()(T prediction, T target) const {
    return (prediction - target) * (prediction - target);
  }
};
struct SquaredErrorGrad {  // by prediction
  template <class T>
  DDPM_HD T operator()(T prediction, T target) const {
    return T(2) * (prediction - target);
  }
};

// A term's derivatives by the mean and by the log variance of the model's normal.
template <class T>
struct NormalGrad {
  T mean, log_variance;
};

// KL(N(mean1, e^lv1) || N(mean2, e^lv2)). With d = lv2 - lv1, expm1 keeps d + e^-d - 1 ~ d^2 / 2
// accurate where the variances nearly agree, which they do at most timesteps.
struct NormalKl {
  template <class T>
  DDPM_HD T operator()(T mean1, T lv1, T mean2, T lv2) const {
    const T d = lv2 - lv1, difference = mean1 - mean2;
    return T(0.5) * (d + std::expm1(-d) + difference * difference * math::exp(-lv2));
  }
};
struct NormalKlGrad {
  template <class T>
  DDPM_HD NormalGrad<T> operator()(T mean1, T lv1, T mean2, T lv2) const {
    const T d = lv2 - lv1, difference = mean2 - mean1, precision = math::exp(-lv2);
    return {difference * precision,
            T(-0.5) * (std::expm1(-d) + difference * difference * precision)};
  }
};

// -ln N(x; mean, e^lv)
struct NormalNll {
  template <class T>
  DDPM_HD T operator()(T x, T mean, T lv) const {
    const T difference = x - mean;
    return T(0.5) * (T(1.8378770664093453) + lv + difference * difference * math::exp(-lv));
  }
};
struct NormalNllGrad {
  template <class T>
  DDPM_HD NormalGrad<T> operator()(T x, T mean, T lv) const {
    const T difference = mean - x, precision = math::exp(-lv);
    return {difference * precision, T(0.5) * (T(1) - difference * difference * precision)};
  }
};

// -ln of the mass of N(mean, e^lv) on the bin of x (DDPM eq. 13), where the normal CDF is
//   Phi(z) ~ (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2 = sigmoid(g(z)).
// The mass of an inner bin is written so that nothing cancels in f32, however far in a tail:
//   sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - e^(b - a)).
struct DiscretizedNormalNll {
  double half_bin;  // 1 / (levels - 1)

  template <class T>
  struct Bin {
    T upper, lower;  // the bin's ends in standard deviations from the mean
    bool first, last;
    T mass;
  };

  template <class T>
  DDPM_HD static T g(T z) {
    return T(1.5957691216057308) * (z + T(0.044715) * z * z * z);
  }
  template <class T>
  DDPM_HD static T density(T z) {  // d Phi / dz
    const T a = g(z);
    return sigmoid(a) * sigmoid(-a) * T(1.5957691216057308) * (T(1) + T(0.134145) * z * z);
  }
  // Beyond 20 standard deviations the mass is below the floor anyhow, and z^3 could overflow.
  template <class T>
  DDPM_HD static T limit(T z) {
    return z < T(-20) ? T(-20) : z > T(20) ? T(20) : z;
  }

  template <class T>
  DDPM_HD Bin<T> bin(T x, T mean, T lv) const {
    const T h = T(half_bin), precision = math::exp(T(-0.5) * lv), edge = T(1) - T(0.5) * h;
    Bin<T> b{limit((x - mean + h) * precision), limit((x - mean - h) * precision), x<-edge, x> edge,
             T(0)};
    const T up = g(b.upper), low = g(b.lower);
    b.mass = b.first  ? sigmoid(up)
             : b.last ? sigmoid(-low)
                      : sigmoid(up) * sigmoid(-low) * -std::expm1(low - up);
    return b;
  }

  static constexpr double kFloor = 1e-12;  // the paper's code

  template <class T>
  DDPM_HD T operator()(T x, T mean, T lv) const {
    const T mass = bin(x, mean, lv).mass;
    return -std::log(mass > T(kFloor) ? mass : T(kFloor));
  }
};
struct DiscretizedNormalNllGrad {
  double half_bin;
  template <class T>
  DDPM_HD NormalGrad<T> operator()(T x, T mean, T lv) const {
    using Nll = DiscretizedNormalNll;
    const Nll::Bin<T> b = Nll{half_bin}.bin(x, mean, lv);
    if (!(b.mass > T(Nll::kFloor))) return {T(0), T(0)};
    const T up = b.last ? T(0) : Nll::density(b.upper),
            low = b.first ? T(0) : Nll::density(b.lower);
    return {(up - low) * math::exp(T(-0.5) * lv) / b.mass,
            T(0.5) * (up * b.upper - low * b.lower) / b.mass};
  }
};

}  // namespace ddpm::math
