#include "experiments/runner/sampling.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "diffusion/likelihood.h"
#include "diffusion/samplers/ode.h"
#include "experiments/runner/interrupt.h"
#include "experiments/runner/memory_advice.h"
#include "framework/io/png.h"

namespace ddpm {

namespace {

// The images of a sampler that chooses its steps as it goes, which has no chain.
void stream_flow(const DiffusionModel& model, const OdeSampler& sampler, uint64_t seed,
                 int64_t first, int64_t count, int64_t batch_size, ProgressSink* progress,
                 const std::function<void(const std::vector<float>&)>& take) {
  Tensor labels = model.class_labels(std::min(batch_size, count));
  const Model network = model.guided(labels);
  const Device device = model.process.device();
  std::unique_ptr<ProbabilityFlow> flow;
  int64_t flow_rows = 0;
  const auto draw = [&](int64_t first_image, int64_t rows, const ProbabilityFlow::Observer& hear) {
    const Shape shape = model.image_shape.batch_of(rows);
    if (flow_rows != rows)
      flow = std::make_unique<ProbabilityFlow>(model.process, network, shape, sampler.options(),
                                               "sampler ode");
    flow_rows = rows;
    Tensor x_T = Tensor::empty(shape, model.process.dtype(), device);
    fill_normal(initial_stream(seed, random_counter(0, first_image, device)), x_T);
    return sampler.draw(model.process, network, *flow, x_T, hear);
  };
  Estimate evaluations;
  double most = 0;
  if (progress) progress->begin("sample, hundredths of an image", 100 * count);
  try {
    for (int64_t begin = 0; begin < count; begin += batch_size) {
      const int64_t images = std::min(batch_size, count - begin);
      model.write_labels(model.drawn_classes(first + begin, images), labels);
      const OdeSolution drawn = draw(first + begin, images, [&](double share) {
        if (progress)
          progress->update(100 * begin +
                           static_cast<int64_t>(share * 100 * static_cast<double>(images)));
        if (interrupt_signal()) throw Interrupted("sampling was interrupted");
      });
      for (const int64_t n : drawn.evaluations) {
        evaluations.add(static_cast<double>(n));
        most = std::max(most, static_cast<double>(n));
      }
      take({drawn.y.begin(), drawn.y.end()});
    }
  } catch (const memory::OutOfMemory& error) {
    flow.reset();
    fail_with_advice(error, "sampling.batch_size", std::min(batch_size, count),
                     [&](int64_t batch) { draw(0, batch, {}); });
  }
  if (progress) progress->end();
  spdlog::info("ode: {:.1f} evaluations of the network an image, {:.0f} at most",
               evaluations.mean(), most);
}

}  // namespace

void stream_samples(const DiffusionModel& model, const Sampler& sampler, uint64_t seed,
                    int64_t first, int64_t count, int64_t batch_size, ProgressSink* progress,
                    const std::function<void(const std::vector<float>&)>& take,
                    const SampleObserver& observe) {
  // With an observer of steps it is refused, as by any chain.
  if (const auto* ode = dynamic_cast<const OdeSampler*>(&sampler); ode && !observe)
    return stream_flow(model, *ode, seed, first, count, batch_size, progress, take);
  const Shape& image = model.image_shape;
  Tensor labels = model.class_labels(std::min(batch_size, count));
  const Model network = model.guided(labels);
  std::optional<ReverseChain> chain;  // of one batch size: a smaller last batch has its own
  const auto use_chain_of = [&](int64_t images) {
    if (!chain || chain->x().shape()[0] != images)
      chain.emplace(model.process, sampler, network, image.batch_of(images), seed);
  };
  int64_t steps = 0;
  try {
    for (int64_t begin = 0; begin < count; begin += batch_size) {
      const int64_t images = std::min(batch_size, count - begin);
      use_chain_of(images);
      model.write_labels(model.drawn_classes(first + begin, images), labels);
      if (progress && begin == 0) {
        const int64_t batches = (count + batch_size - 1) / batch_size;
        progress->begin("sample", batches * chain->steps());
      }
      const Tensor x = sample(*chain, first + begin, [&](int64_t done, const ReverseChain& c) {
        if (progress) progress->update(++steps);
        if (interrupt_signal()) throw Interrupted("sampling was interrupted");
        if (observe) observe(done, c);
      });
      take(x.to_host<float>());
    }
  } catch (const memory::OutOfMemory& error) {
    chain.reset();
    fail_with_advice(error, "sampling.batch_size", std::min(batch_size, count), [&](int64_t batch) {
      use_chain_of(batch);
      chain->start(0);
      chain->step();
    });
  }
  if (progress) progress->end();
}

std::vector<float> draw_samples(const DiffusionModel& model, const Sampler& sampler, uint64_t seed,
                                int64_t first, int64_t count, int64_t batch_size,
                                ProgressSink* progress) {
  std::vector<float> samples;
  samples.reserve(static_cast<size_t>(count * model.image_shape.numel()));
  stream_samples(model, sampler, seed, first, count, batch_size, progress,
                 [&](const std::vector<float>& batch) {
                   samples.insert(samples.end(), batch.begin(), batch.end());
                 });
  return samples;
}

WeightsScope::WeightsScope(Parameters& parameters, const std::string& weights)
    : parameters_(parameters) {
  if (const int index = average_index(weights); index >= 0) parameters_.use_average(index);
}

std::vector<uint8_t> quantise(const std::vector<float>& samples, int levels) {
  const float top = static_cast<float>(levels - 1);
  std::vector<uint8_t> pixels(samples.size());
  std::transform(samples.begin(), samples.end(), pixels.begin(), [top](float x) {
    const float level = std::round((x + 1) / 2 * top);
    return static_cast<uint8_t>(level >= 0 ? std::min(level, top) : 0);  // NaN becomes black
  });
  return pixels;
}

std::vector<uint8_t> display_pixels(const std::vector<float>& samples, int levels) {
  const int shown = levels > 0 ? levels : 256;
  std::vector<uint8_t> pixels = quantise(samples, shown);
  for (uint8_t& p : pixels) p = display_level(p, shown);
  return pixels;
}

bool write_grid(const std::string& path, const std::vector<float>& samples,
                const Shape& image_shape, int levels, int64_t columns) {
  const int64_t channels = image_shape[2];
  if (levels == 0 || (channels != 1 && channels != 3 && channels != 4)) return false;
  const std::vector<uint8_t> pixels = display_pixels(samples, levels);
  const Shape shape =
      image_shape.batch_of(static_cast<int64_t>(samples.size()) / image_shape.numel());
  // Tiny images are shown at 64 pixels or more a side.
  const int64_t zoom = std::clamp<int64_t>(64 / std::min(image_shape[0], image_shape[1]), 1, 8);
  write_png(path, image_grid(shape, pixels, columns, shape[0] > 1 ? zoom : 1));
  return true;
}

}  // namespace ddpm
