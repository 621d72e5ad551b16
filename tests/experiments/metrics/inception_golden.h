// The random weights and images of tests/golden/make_inception_golden.py, drawn again.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "framework/random/random.h"
#include "layers/inception.h"
#include "layers/inception_weights.h"

namespace ddpm::testing {

// Element i is low + (high - low) u of the stream `site`.
inline std::vector<double> drawn(const std::string& site, double low, double high, int64_t count) {
  Tensor row = Tensor::empty({1, count}, DType::kF64, Device::kCpu);
  fill_uniform({1, random_site(site), random_counter(0, 0, Device::kCpu)}, low, high, row);
  return row.to_host<double>();
}

// In the layout and under the names of PyTorch's ports.
inline NamedTensors golden_inception_weights() {
  NamedTensors weights("golden.pth");
  const auto add = [&](const std::string& name, const Shape& shape, double centre, double reach) {
    const std::vector<double> s = drawn(name, -1, 1, shape.numel());
    std::vector<float> values(s.size());
    for (size_t i = 0; i < s.size(); ++i) values[i] = static_cast<float>(centre + reach * s[i]);
    weights.add(name, Tensor::from_host(values, shape, Device::kCpu));
  };
  Parameters parameters;
  const Inception network{Scope(parameters)};
  for (const Parameters::Slot& slot : parameters.slots()) {
    std::string module = slot.path.substr(0, slot.path.rfind('/'));
    std::replace(module.begin(), module.end(), '/', '.');
    const Shape& s = slot.shape;
    if (s.rank() == 2) {
      add(module + ".weight", s, 0, std::sqrt(12.0 / 2048));
    } else if (s.rank() == 4) {
      const double fan_in = static_cast<double>(s[1] * s[2] * s[3]);
      add(module + ".conv.weight", {s[0], s[3], s[1], s[2]}, 0, std::sqrt(6 / fan_in));
      add(module + ".bn.weight", {s[0]}, 1, 0.1);
      add(module + ".bn.bias", {s[0]}, 0, 0.1);
      add(module + ".bn.running_mean", {s[0]}, 0, 0.1);
      add(module + ".bn.running_var", {s[0]}, 1, 0.5);
    }
  }
  return weights;
}

// Noise on a grid of 4 x 4 blocks beside noise of single pixels: u8 (count, side, side, 3).
inline std::vector<uint8_t> golden_images(const std::string& name, int64_t count, int64_t side) {
  const std::vector<double> fine = drawn("images/" + name + "/fine", 0, 1, count * side * side * 3);
  const std::vector<double> coarse = drawn("images/" + name + "/coarse", 0, 1, count * 4 * 4 * 3);
  std::vector<uint8_t> pixels(fine.size());
  for (int64_t i = 0; i < static_cast<int64_t>(pixels.size()); ++i) {
    const int64_t c = i % 3, w = i / 3 % side, h = i / 3 / side % side, n = i / 3 / side / side;
    const int64_t block = side / 4, at = ((n * 4 + h / block) * 4 + w / block) * 3 + c;
    const double value =
        0.75 * coarse[static_cast<size_t>(at)] + 0.25 * fine[static_cast<size_t>(i)];
    pixels[static_cast<size_t>(i)] = static_cast<uint8_t>(std::floor(256 * value));
  }
  return pixels;
}

}  // namespace ddpm::testing
