// Inpainting: a sampler around another one, whose images are given ones wherever those are known.
//
// After every step, to x_s, the known elements are drawn anew from q(x_s | x_0) (Song et al. 2021,
// "Score-Based Generative Modeling", appendix I.2; Lugmayr et al. 2022, eq. 8), and after the last
// they are x_0's own, bit for bit. No step is a draw given the known elements: the network makes
// the others fit what it last saw, and that noise is gone with the next step.
//
// RePaint (Lugmayr et al. 2022, algorithm 1 and section 4.2) therefore goes back in between: from
// x_s by q(x_t | x_s) to where it was `jump_length` steps before, and down again, until every such
// piece has been walked `resamplings` times. The walk is that of its authors' code.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "diffusion/sampler.h"

namespace ddpm {

struct Resampling {
  int64_t jump_length = 10;  // in steps of the sampler
  int64_t resamplings = 1;   // 1: the known elements are replaced, and that is all
};

// The visits of a sampler that makes `visits` of them, in the order of the walk: after visit v
// comes v + 1, or a jump back.
std::vector<int32_t> resampling_walk(int64_t visits, const Resampling& resampling);

class InpaintingSampler final : public Sampler {
 public:
  // `known` (N, ..., C) lies on the process's device and is read at every step: its values may
  // change between images, not its place. is_known has a number, 0 or 1, for every element of an
  // image.
  InpaintingSampler(const Sampler& sampler, Tensor known, std::vector<int32_t> is_known,
                    const Resampling& resampling);

  // UserError where a sampler that remembers earlier visits is to jump, or takes too few steps.
  std::vector<Visit> visits(const GaussianDiffusion& process) const override;
  bool is_deterministic(const GaussianDiffusion&) const override { return false; }
  bool has_memory(const GaussianDiffusion& process) const override {
    return sampler_.has_memory(process);
  }
  std::unique_ptr<Stepper> stepper(const GaussianDiffusion& process,
                                   const Shape& shape) const override;

 private:
  const Sampler& sampler_;
  Tensor known_;
  std::vector<int32_t> is_known_;
  Resampling resampling_;
};

}  // namespace ddpm
