#include "layers/denoiser.h"

#include "layers/mlp.h"
#include "layers/unet.h"
#include "layers/unet_classifier.h"

namespace ddpm {

const Registry<DenoiserOptions>& denoisers() {
  static const Registry<DenoiserOptions> registry(
      "model",
      {
          {"unet", "the U-Net of DDPM (Ho et al. 2020)", factory<DenoiserOptions, UNetOptions>()},
          {"mlp", "a residual perceptron for points and small vectors",
           factory<DenoiserOptions, MlpOptions>()},
          {"unet_classifier",
           "tells the class of noisy images, to guide another run (Dhariwal & Nichol 2021)",
           factory<DenoiserOptions, UNetClassifierOptions>()},
      });
  return registry;
}

}  // namespace ddpm
