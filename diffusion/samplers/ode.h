// The probability flow by Dormand and Prince's adaptive method (Song et al. 2021b, appendix D.1;
// probability_flow.h): every image takes as many steps as its tolerance asks for, so there is no
// number of steps to set and no chain of steps that all images share.
#pragma once

#include "diffusion/probability_flow.h"
#include "diffusion/sampler.h"
#include "framework/config/config.h"

namespace ddpm {

class OdeSampler : public Sampler {
 public:
  explicit OdeSampler(const Config& config)
      : options_(read_ode(config)),
        denoise_to_zero_(config.boolean("denoise_to_zero", true,
                                        "one evaluation more, at t = 0, gives x_0; false: the "
                                        "image keeps the noise of t = 0")) {}

  const OdeOptions& options() const { return options_; }

  // Where it begins; the rest follows from the images.
  std::vector<Visit> visits(const GaussianDiffusion& process) const override {
    check_flow(process, "sampler ode");
    return {{static_cast<double>(process.timesteps() - 1)}};
  }
  bool is_deterministic(const GaussianDiffusion&) const override { return true; }
  bool has_memory(const GaussianDiffusion&) const override { return false; }
  std::unique_ptr<Stepper> stepper(const GaussianDiffusion&, const Shape&) const override {
    fail_user(
        "sampler ode: it chooses the steps of every image as it goes, and this needs steps that "
        "are known beforehand; unipc, dpm_solver++ and heun follow the same flow with such");
  }

  // From x_T of the images to what they are. `flow` has the options above.
  OdeSolution draw(const GaussianDiffusion& process, const Model& model, ProbabilityFlow& flow,
                   const Tensor& x_T, const ProbabilityFlow::Observer& observer) const;

 private:
  OdeOptions options_;
  bool denoise_to_zero_;
};

}  // namespace ddpm
