// Images are rewritten one at a time into a new buffer.
#include "data/transforms.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "framework/random/permutation.h"
#include "framework/random/random.h"

namespace ddpm {
namespace {

// The chosen images of a split. `indices` ascend.
Split select(const Split& split, const std::vector<int64_t>& indices, int64_t image_size) {
  Split out;
  out.count = static_cast<int64_t>(indices.size());
  const auto gather = [&](const auto& from, auto& to, int64_t size) {
    if (from.empty()) return;
    to.reserve(indices.size() * static_cast<size_t>(size));
    for (int64_t i : indices)
      to.insert(to.end(), from.begin() + i * size, from.begin() + (i + 1) * size);
  };
  gather(split.pixels, out.pixels, image_size);
  gather(split.values, out.values, image_size);
  gather(split.labels, out.labels, 1);
  return out;
}

// Applies `image(const uint8_t* in, uint8_t* out)` to every image of both splits.
template <class Image>
void rewrite(Dataset& dataset, const Shape& shape, Image&& image) {
  const int64_t in_size = dataset.image_shape.numel(), out_size = shape.numel();
  for (Split* split : {&dataset.train, &dataset.test}) {
    std::vector<uint8_t> out(static_cast<size_t>(split->count * out_size));
    for (int64_t i = 0; i < split->count; ++i)
      image(split->pixels.data() + i * in_size, out.data() + i * out_size);
    split->pixels = std::move(out);
  }
  dataset.image_shape = shape;
}

void check_grey_levels(const Dataset& dataset, const char* what) {
  DDPM_CHECK(dataset.levels > 0, "data '{}': {} needs grey levels, these data are continuous",
             dataset.name, what);
}

// Output position `begin + i` of a one-dimensional filter; the weights sum to exactly kOne.
constexpr int kFractionBits = 16;
constexpr int64_t kOne = int64_t{1} << kFractionBits;
struct Taps {
  int64_t begin = 0;
  std::vector<int64_t> weights;
};

// The triangle filter from n pixels to m.
std::vector<Taps> bilinear_taps(int64_t n, int64_t m) {
  const double scale = static_cast<double>(n) / static_cast<double>(m);
  const double support = std::max(scale, 1.0);
  std::vector<Taps> taps(static_cast<size_t>(m));
  for (int64_t i = 0; i < m; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto begin = std::max<int64_t>(0, static_cast<int64_t>(std::floor(centre - support)));
    const auto end = std::min<int64_t>(n, static_cast<int64_t>(std::ceil(centre + support)));
    std::vector<double> triangle;
    for (int64_t j = begin; j < end; ++j)
      triangle.push_back(
          std::max(0.0, 1 - std::abs(static_cast<double>(j) + 0.5 - centre) / support));
    const double sum = std::accumulate(triangle.begin(), triangle.end(), 0.0);
    Taps& t = taps[i];
    t.begin = begin;
    for (double w : triangle)
      t.weights.push_back(std::llround(w / sum * static_cast<double>(kOne)));
    const int64_t missing = kOne - std::accumulate(t.weights.begin(), t.weights.end(), int64_t{0});
    *std::max_element(t.weights.begin(), t.weights.end()) += missing;
  }
  return taps;
}

void resize_bilinear(Dataset& dataset, const Shape& to) {
  const int64_t height = dataset.image_shape[0], width = dataset.image_shape[1], channels = to[2];
  const std::vector<Taps> rows = bilinear_taps(height, to[0]),
                          columns = bilinear_taps(width, to[1]);
  std::vector<int64_t> wide(static_cast<size_t>(height * to[1] * channels));
  rewrite(dataset, to, [&](const uint8_t* in, uint8_t* out) {
    int64_t* w = wide.data();
    for (int64_t y = 0; y < height; ++y)
      for (const Taps& taps : columns)
        for (int64_t c = 0; c < channels; ++c) {
          int64_t sum = 0;
          for (size_t j = 0; j < taps.weights.size(); ++j)
            sum += taps.weights[j] *
                   in[(y * width + taps.begin + static_cast<int64_t>(j)) * channels + c];
          *w++ = sum;
        }
    const int64_t row = to[1] * channels;
    for (const Taps& taps : rows)
      for (int64_t x = 0; x < row; ++x) {
        int64_t sum = kOne * kOne / 2;  // rounds to nearest
        for (size_t j = 0; j < taps.weights.size(); ++j)
          sum += taps.weights[j] * wide[(taps.begin + static_cast<int64_t>(j)) * row + x];
        *out++ = static_cast<uint8_t>(sum >> (2 * kFractionBits));
      }
  });
}

void resize_nearest(Dataset& dataset, const Shape& to) {
  const int64_t height = dataset.image_shape[0], width = dataset.image_shape[1], channels = to[2];
  rewrite(dataset, to, [&](const uint8_t* in, uint8_t* out) {
    for (int64_t y = 0; y < to[0]; ++y)
      for (int64_t x = 0; x < to[1]; ++x) {
        const int64_t from_y = (2 * y + 1) * height / (2 * to[0]);
        const int64_t from_x = (2 * x + 1) * width / (2 * to[1]);
        out = std::copy_n(in + (from_y * width + from_x) * channels, channels, out);
      }
  });
}

void pad(Dataset& dataset, const Shape& to) {
  const int64_t height = dataset.image_shape[0], row = dataset.image_shape[1] * to[2];
  const int64_t top = (to[0] - height) / 2, left = (to[1] - dataset.image_shape[1]) / 2;
  rewrite(dataset, to, [&](const uint8_t* in, uint8_t* out) {
    for (int64_t y = 0; y < height; ++y)
      std::copy_n(in + y * row, row, out + ((top + y) * to[1] + left) * to[2]);
  });
}

}  // namespace

void hold_out(Dataset& dataset, int64_t count) {
  Split& train = dataset.train;
  DDPM_CHECK(dataset.test.count == 0, "data '{}' has a held-out split of {} images already",
             dataset.name, dataset.test.count);
  DDPM_CHECK(count > 0 && count < train.count,
             "data '{}': cannot hold out {} of {} images; allowed are 1 to {}", dataset.name, count,
             train.count, train.count - 1);
  const Permutation permutation(0, random_site("data/hold_out"), 0,
                                static_cast<uint32_t>(train.count));
  std::vector<int64_t> held_out, kept;
  for (int64_t i = 0; i < train.count; ++i)
    (permutation(static_cast<uint32_t>(i)) < count ? held_out : kept).push_back(i);
  dataset.test = select(train, held_out, dataset.image_shape.numel());
  train = select(train, kept, dataset.image_shape.numel());
}

void limit(Dataset& dataset, int64_t count) {
  Split& train = dataset.train;
  DDPM_CHECK(count > 0 && count <= train.count,
             "data '{}': the limit {} is not in 1 to {}, the number of training images",
             dataset.name, count, train.count);
  const auto n = static_cast<size_t>(count),
             size = static_cast<size_t>(dataset.image_shape.numel());
  train.count = count;
  train.pixels.resize(std::min(train.pixels.size(), n * size));
  train.values.resize(std::min(train.values.size(), n * size));
  train.labels.resize(std::min(train.labels.size(), n));
}

void resize(Dataset& dataset, int64_t height, int64_t width, Resize mode) {
  const Shape from = dataset.image_shape, to{height, width, from[2]};
  if (from == to) return;
  check_grey_levels(dataset, "a change of size");
  DDPM_CHECK(height >= 1 && height <= kMaxSide && width >= 1 && width <= kMaxSide,
             "data '{}': size {}x{}; allowed are sides of 1 to {}", dataset.name, height, width,
             kMaxSide);
  switch (mode) {
    case Resize::kNone:
      fail_user(
          "data '{}' has images of {}x{}, not {}x{}; \"resize\" can be pad, nearest or bilinear",
          dataset.name, from[0], from[1], height, width);
    case Resize::kPad:
      DDPM_CHECK(height >= from[0] && width >= from[1],
                 "data '{}': padding cannot shrink {}x{} to {}x{}; use nearest or bilinear",
                 dataset.name, from[0], from[1], height, width);
      return pad(dataset, to);
    case Resize::kNearest: return resize_nearest(dataset, to);
    case Resize::kBilinear: return resize_bilinear(dataset, to);
  }
}

void convert_channels(Dataset& dataset, int64_t channels) {
  const int64_t from = dataset.image_shape[2];
  if (from == channels) return;
  check_grey_levels(dataset, "a change of channels");
  DDPM_CHECK((from == 1 && channels == 3) || (from == 3 && channels == 1),
             "data '{}': cannot make {} channels of {}; allowed are 1 and 3", dataset.name,
             channels, from);
  const Shape to = dataset.image_shape.with_inner(channels);
  const int64_t pixels = to[0] * to[1];
  rewrite(dataset, to, [&](const uint8_t* in, uint8_t* out) {
    for (int64_t p = 0; p < pixels; ++p)
      if (channels == 3) {
        out = std::fill_n(out, 3, in[p]);
      } else {
        const int luma = 299 * in[3 * p] + 587 * in[3 * p + 1] + 114 * in[3 * p + 2];
        *out++ = static_cast<uint8_t>((luma + 500) / 1000);
      }
  });
}

}  // namespace ddpm
