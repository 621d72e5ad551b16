#include "diffusion/samplers/ode.h"

#include "diffusion/host_values.h"
#include "framework/ops/timestep.h"

namespace ddpm {

OdeSolution OdeSampler::draw(const GaussianDiffusion& process, const Model& model,
                             ProbabilityFlow& flow, const Tensor& x_T,
                             const ProbabilityFlow::Observer& observer) const {
  OdeSolution images =
      flow.transport(read_values(x_T), flow.levels().last(), flow.levels().first(), observer);
  if (!denoise_to_zero_) return images;
  const Tensor x = write_values(images.y, x_T.shape(), x_T.dtype(), x_T.device());
  const Tensor t = same_timestep(0, x.shape()[0], x.device());
  images.y = read_values(process.x0(process.split(model(x, t), x).prediction, x, t));
  for (int64_t& evaluations : images.evaluations) ++evaluations;
  return images;
}

}  // namespace ddpm
