// Edits of images that begin where the noise has not taken all of them: SDEdit, and DDIM's way back
// from an image under another condition. Inpainting is a sampler: inpainting.h.
//
// A strength is the share of the T diffusion steps that an image is taken back to. At 0 it is
// returned as it came, at 1 nothing but its latent, or with noise nothing at all, is left of it.
#pragma once

#include "diffusion/sampler.h"

namespace ddpm {

// The visit at which an edit of that strength, above 0, begins.
int64_t edit_begins(const ReverseChain& chain, double strength);

// SDEdit (Meng et al. 2022, section 3): a draw of q(x_t | x_0), brought back by the chain. At
// strength 1 it is sample(), bit for bit.
Tensor sdedit(ReverseChain& chain, const Tensor& x0, double strength, int64_t first_image,
              const SampleObserver& observer = {});

// Dual diffusion implicit bridges (Su et al. 2023, algorithm 1): `there`, a chain of DdimInversion,
// takes the images to their latents under the condition of its model, `back`, of the same DDIM,
// brings them home under that of its own.
Tensor bridge(ReverseChain& there, ReverseChain& back, const Tensor& x0, double strength,
              const SampleObserver& observer = {});
// Evaluations of the network that it makes.
int64_t bridge_steps(const ReverseChain& there, const ReverseChain& back, double strength);

}  // namespace ddpm
