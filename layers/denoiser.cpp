#include "layers/denoiser.h"

#include "layers/mlp.h"
#include "layers/unet.h"

namespace ddpm {

const Registry<DenoiserOptions>& denoisers() {
  static const Registry<DenoiserOptions> registry(
      "model",
      {
          {"unet", "the U-Net of DDPM (Ho et al. 2020)", factory<DenoiserOptions, UNetOptions>()},
          {"mlp", "a residual perceptron for points and small vectors",
           factory<DenoiserOptions, MlpOptions>()},
      });
  return registry;
}

}  // namespace ddpm
