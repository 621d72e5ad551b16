// What the diffusion tests share: processes from JSON, tensors from numbers, a mixture to sample.
#pragma once

#include <string>
#include <vector>

#include "data/gaussian_mixture.h"
#include "diffusion/process.h"
#include "diffusion/registry.h"
#include "framework/random/random.h"

namespace ddpm::testing {

inline DiffusionVariant variant_of(const std::string& json) {
  const Config config(ConfigSource::parse_text(json, "test"));
  DiffusionVariant variant = read_diffusion(config);
  config.finish();
  return variant;
}

inline GaussianDiffusion process_of(const std::string& json, int levels = 0,
                                    DType dtype = DType::kF64) {
  return GaussianDiffusion(variant_of(json), levels, dtype, Device::kCpu);
}

inline std::unique_ptr<Sampler> sampler_of(const std::string& json) {
  const Config config(ConfigSource::parse_text("{\"sampler\": " + json + "}", "test"));
  std::unique_ptr<Sampler> sampler = read_sampler(config);
  config.finish();
  return sampler;
}

inline Tensor steps(const std::vector<int32_t>& t) {
  return Tensor::from_host(t, {static_cast<int64_t>(t.size())}, Device::kCpu);
}

// Standard normals in f64, another tensor for every `site`.
inline Tensor normal(Shape shape, const std::string& site) {
  Tensor x = Tensor::empty(shape, DType::kF64, Device::kCpu);
  fill_normal({1, random_site(site), random_counter(0, 0, Device::kCpu)}, x);
  return x;
}

inline Tensor constant(Shape shape, double value) {
  return Tensor::from_host(std::vector<double>(shape.numel(), value), shape, Device::kCpu);
}

inline Tensor points(const GaussianMixture& mixture, int64_t first, int64_t count) {
  const std::vector<float> x = mixture.sample(7, first, count);
  return Tensor::from_host(std::vector<double>(x.begin(), x.end()), {count, mixture.dimension()},
                           Device::kCpu);
}

inline double at(const Tensor& x, int64_t i) { return x.data<double>()[i]; }

// Three modes of unequal weight and shape inside [-1, 1]^2.
inline GaussianMixture three_modes() {
  return {.weights = {0.5, 0.3, 0.2},
          .means = {-0.5, -0.4, 0.5, -0.3, 0.0, 0.6},
          .variances = {0.01, 0.02, 0.005, 0.01, 0.02, 0.005}};
}

}  // namespace ddpm::testing
