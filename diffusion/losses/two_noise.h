// The squared error with two noises from which Su Jianlin derives DDPM ("tear the building down,
// build it up", 2022). In his notation a_t^2 + b_t^2 = 1, abar_t = a_t .. a_1, abar_t^2 + bbar_t^2
// = 1, a step is x_t = a_t x_{t-1} + b_t eps_t, and the network regresses that step's noise:
//   ||eps_t - eps_theta(abar_t x_0 + a_t bbar_{t-1} ebar_{t-1} + b_t eps_t, t)||^2.            (*)
// The two noises are a rotation of two others, just as independent and normal,
//   bbar_t eps   = a_t bbar_{t-1} ebar_{t-1} + b_t eps_t,
//   bbar_t omega = b_t ebar_{t-1} - a_t bbar_{t-1} eps_t,
// and x_t = abar_t x_0 + bbar_t eps does not see omega: integrating it out leaves, per element,
//   ||(b_t / bbar_t) eps - eps_theta||^2 + (a_t bbar_{t-1} / bbar_t)^2
//     = (b_t / bbar_t)^2 ||eps - (bbar_t / b_t) eps_theta||^2 + constant,
// the usual loss with one noise, a weight and a constant. The gradients have one expectation, and
// those of (*) the larger variance: compare "simple" and "two_noise", and see
// `ddpm figure gradient_variance`.
//
// eps and omega are what is drawn here, so that x_t is bit for bit that of "simple". Since x_{t-1}
// = mu~ + sqrt(beta~) omega, (*) asks for x_{t-1} as it was drawn where "simple" asks for its mean
// given x_0 and x_t, whatever the network predicts; with the parameterization step_noise it is (*)
// to the letter.
#pragma once

#include "diffusion/losses/simple.h"

namespace ddpm {

class TwoNoiseLoss : public SimpleLoss {
 public:
  using SimpleLoss::SimpleLoss;

  bool needs_second_noise() const override { return true; }
  Tensor operator()(const LossTerms& l) const override {
    const Tensor drawn = l.process.drawn_target(l.x0, l.noise, l.second_noise, l.t);
    return l.process.weighted_error(l.prediction, drawn, l.t);
  }
};

}  // namespace ddpm
