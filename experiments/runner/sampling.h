// Drawing images from a model, and turning them into pixels.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "experiments/runner/progress_sink.h"
#include "experiments/runner/trainer.h"

namespace ddpm {

// Images first .. first + count - 1 of the seed as the chain leaves them, neither clipped nor
// checked: (count, H, W, C) on the host. They do not depend on the batch size.
// `take` gets them batch by batch, after `observe` every step of the batch; `draw_samples` returns
// them all.
void stream_samples(const DiffusionModel& model, const Sampler& sampler, uint64_t seed,
                    int64_t first, int64_t count, int64_t batch_size, ProgressSink* progress,
                    const std::function<void(const std::vector<float>&)>& take,
                    const SampleObserver& observe = {});
std::vector<float> draw_samples(const DiffusionModel& model, const Sampler& sampler, uint64_t seed,
                                int64_t first, int64_t count, int64_t batch_size,
                                ProgressSink* progress = nullptr);

// Shows the weights a configuration names while it lives: "raw", "ema", "ema_1", ...
class WeightsScope {
 public:
  WeightsScope(Parameters& parameters, const std::string& weights);
  ~WeightsScope() { parameters_.use_master(); }
  WeightsScope(const WeightsScope&) = delete;
  WeightsScope& operator=(const WeightsScope&) = delete;

 private:
  Parameters& parameters_;
};

// [-1, 1] -> the nearest of `levels` grey levels, clipped.
std::vector<uint8_t> quantise(const std::vector<float>& samples, int levels);
// Grey level `level` of `levels` as one of 0 .. 255.
inline uint8_t display_level(uint8_t level, int levels) {
  const int top = levels - 1;
  return static_cast<uint8_t>((level * 255 + top / 2) / top);
}
// Both, for pictures; continuous data (levels 0) get 256 grey levels.
std::vector<uint8_t> display_pixels(const std::vector<float>& samples, int levels);
// A PNG grid of images with 1, 3 or 4 channels, small ones enlarged (a single image never is); grey
// levels are stretched to 0..255. `columns` 0: about a square. Data of another kind (points) have
// no picture: false is returned.
bool write_grid(const std::string& path, const std::vector<float>& samples,
                const Shape& image_shape, int levels, int64_t columns = 0);

}  // namespace ddpm
