// Denoiser: the network of a diffusion model, whatever its architecture. It sees x_t and t and
// returns what the parameterization asks for, plus the channels of a learned variance; or, of a
// classifier that guides one, the scores of the classes.
#pragma once

#include <memory>

#include "framework/config/registry.h"
#include "layers/basic.h"

namespace ddpm {

class Denoiser {
 public:
  virtual ~Denoiser() = default;
  // x (N, H, W, C), t (N) i32 -> (N, H, W, output channels) of the type of x, whatever the network
  // computes in; of a classifier (N, output channels). `labels` (N) i32 of a network that knows
  // classes, else empty. `dropout` is null at inference.
  virtual Tensor operator()(const Tensor& x, const Tensor& t, const Tensor& labels = {},
                            const DropoutSource* dropout = nullptr) const = 0;
};

// The images that a denoiser is built for.
struct ImageGeometry {
  int64_t height, width, channels;
  // `channels`, or twice as many with a learned variance; of a classifier the number of classes.
  int64_t output_channels;
  int64_t classes = 0;  // labels are 0 .. classes - 1, and `classes` for "none"; 0: no labels
};

// What a configuration asks for, before any parameter is registered.
class DenoiserOptions {
 public:
  virtual ~DenoiserOptions() = default;
  // Throws a UserError when the images do not fit the architecture.
  virtual std::unique_ptr<Denoiser> build(const Scope& scope, const ImageGeometry& image) const = 0;
  virtual bool classifies() const { return false; }
};

// The settings of each are read where it is defined.
const Registry<DenoiserOptions>& denoisers();

}  // namespace ddpm
