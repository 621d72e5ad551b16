#include "diffusion/progressive_coding.h"

#include "diffusion/host_values.h"
#include "framework/ops/timestep.h"
#include "framework/random/random.h"

namespace ddpm {

void code_progressively(const GaussianDiffusion& process, const Model& model, const Tensor& x0,
                        uint64_t seed, int64_t first_image, bool clip_denoised,
                        const std::function<void(const ReceivedStep&)>& receive) {
  const int64_t images = x0.shape()[0];
  const auto noise_at = [&](int32_t step) {
    Tensor noise = Tensor::like(x0);
    fill_normal({seed, random_site("progressive_coding/noise"),
                 random_counter(step, first_image, x0.device())},
                noise);
    return noise;
  };
  const auto timesteps = [&](int32_t t) { return same_timestep(t, images, x0.device()); };
  std::vector<double> bits = read_values(process.prior_term(x0));
  const int32_t last = process.timesteps() - 1;
  Tensor x = process.q_sample(x0, timesteps(last), noise_at(last + 1));
  for (int32_t step = last; step >= 0; --step) {
    const Tensor t = timesteps(step);
    const auto p = process.p_mean_variance(model(x, t), x, t, clip_denoised);
    receive({step, bits, p.x0});
    const std::vector<double> term =
        read_values(process.bound_term(x0, x, t, {p.mean, p.log_variance}));
    for (size_t n = 0; n < bits.size(); ++n) bits[n] += term[n];
    if (step == 0) break;
    const Normal q = process.q_posterior(x0, x, t);
    x = ancestral_step(q.mean, q.log_variance, noise_at(step), t);
  }
  receive({-1, bits, x0});
}

}  // namespace ddpm
