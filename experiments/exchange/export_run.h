// export_run: a run's weights for diffusers' UNet2DModel.from_pretrained.
#pragma once

#include <string>

namespace ddpm {

struct ExportRequest {
  std::string run;              // a run folder
  std::string checkpoint = {};  // empty: the run's latest
  std::string weights = "ema";  // "ema" (the first average), "ema_1", ..., or "raw"
  // A folder as diffusers writes them, or the .safetensors file itself; config.json lies beside it.
  std::string out;
  bool overwrite = false;
};

struct ExportOutcome {
  std::string weights_file, config_file;
  std::string weights;  // "ema, decay 0.9999" or "raw"
  int64_t step = 0, parameters = 0;
};

// UserErrors where UNet2DModel cannot express the network; then nothing is written.
ExportOutcome export_run(const ExportRequest& request);

}  // namespace ddpm
