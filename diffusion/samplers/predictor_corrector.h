// Predictor-corrector sampling (Song et al. 2021b, algorithms 3 and 5): at every noise level first
// `corrector_steps` steps of Langevin dynamics, which bring the law of x closer to that of the
// level, then a step of the reverse SDE to the next (euler_maruyama.h). As in the authors' code the
// corrector comes first. At the first timestep, from where the last step goes to x_0, there is
// none.
//
// A step of the corrector, with the score g = -epsilon / noise and 1 - alpha the level's beta:
//   x + e g + sqrt(2 e) z,   e = 2 alpha (snr |z| / |g|)^2 = 2 alpha (snr noise)^2
// The authors take the means of |z| and |g| over the batch, which ties an image to those drawn with
// it. Taken of each image, e would depend on x and on z, and such a chain has another law: on
// points in the plane the weights of modes are off by 0.06 and their variances doubled. Here |g| is
// that of the noise which epsilon estimates, |z| / noise: e is known beforehand, the same for all
// images.
#pragma once

#include "diffusion/solver_grid.h"

namespace ddpm {

class PredictorCorrectorSampler : public Solver {
 public:
  explicit PredictorCorrectorSampler(const Config& config);

 protected:
  std::vector<NoiseLevel> grid(const NoiseLevels& levels) const override;
  std::vector<Move> step(const NoiseLevels& levels, const std::vector<NoiseLevel>& grid, size_t i,
                         size_t past) const override;

 private:
  int64_t corrector_steps_;
  double snr_;
  SolverGrid grid_;
};

}  // namespace ddpm
