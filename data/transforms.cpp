// Images are rewritten one at a time into a new buffer.
#include "data/transforms.h"

#include <algorithm>
#include <utility>

#include "data/resample.h"
#include "framework/random/permutation.h"
#include "framework/random/random.h"

namespace ddpm {
namespace {

void rewrite(Dataset& dataset, const Shape& shape, const ImageMap& image) {
  const int64_t in_size = dataset.image_shape.numel(), out_size = shape.numel();
  for (Split* split : {&dataset.train, &dataset.test}) {
    std::vector<uint8_t> out(static_cast<size_t>(split->count * out_size));
    for (int64_t i = 0; i < split->count; ++i)
      image(split->pixels.data() + i * in_size, out.data() + i * out_size);
    split->pixels = std::move(out);
  }
  dataset.image_shape = shape;
}

std::string title(const Dataset& dataset) { return fmt::format("data '{}'", dataset.name); }

void check_grey_levels(const Dataset& dataset, const char* what) {
  DDPM_CHECK(dataset.levels > 0, "data '{}': {} needs grey levels, these data are continuous",
             dataset.name, what);
}

ImageMap nearest(const Shape& from, const Shape& to) {
  return [from, to](const uint8_t* in, uint8_t* out) {
    for (int64_t y = 0; y < to[0]; ++y)
      for (int64_t x = 0; x < to[1]; ++x) {
        const int64_t from_y = (2 * y + 1) * from[0] / (2 * to[0]);
        const int64_t from_x = (2 * x + 1) * from[1] / (2 * to[1]);
        out = std::copy_n(in + (from_y * from[1] + from_x) * to[2], to[2], out);
      }
  };
}

ImageMap pad(const Shape& from, const Shape& to) {
  return [from, to](const uint8_t* in, uint8_t* out) {
    const int64_t row = from[1] * from[2];
    const int64_t top = (to[0] - from[0]) / 2, left = (to[1] - from[1]) / 2;
    std::fill_n(out, to.numel(), uint8_t{0});
    for (int64_t y = 0; y < from[0]; ++y)
      std::copy_n(in + y * row, row, out + ((top + y) * to[1] + left) * to[2]);
  };
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
  dataset.test = select(train, dataset.image_shape, held_out);
  train = select(train, dataset.image_shape, kept);
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

ImageMap resize_map(const std::string& what, const Shape& from, const Shape& to, Resize mode,
                    int levels) {
  DDPM_CHECK(to[0] >= 1 && to[0] <= kMaxSide && to[1] >= 1 && to[1] <= kMaxSide,
             "{}: size {}x{}; allowed are sides of 1 to {}", what, to[0], to[1], kMaxSide);
  const auto filtered = [&](Filter filter) {
    return [resample = Resampler(from, to[0], to[1], filter, levels)](
               const uint8_t* in, uint8_t* out) { resample(in, out); };
  };
  switch (mode) {
    case Resize::kNone:
      fail_user(
          "{}: {}x{} pixels are not {}x{}; \"resize\" can be pad, nearest, box, bilinear, bicubic "
          "or lanczos",
          what, from[0], from[1], to[0], to[1]);
    case Resize::kPad:
      DDPM_CHECK(to[0] >= from[0] && to[1] >= from[1],
                 "{}: padding cannot shrink {}x{} to {}x{}; use another \"resize\"", what, from[0],
                 from[1], to[0], to[1]);
      return pad(from, to);
    case Resize::kNearest: return nearest(from, to);
    case Resize::kBox: return filtered(Filter::kBox);
    case Resize::kBilinear: return filtered(Filter::kBilinear);
    case Resize::kBicubic: return filtered(Filter::kBicubic);
    case Resize::kLanczos: break;
  }
  return filtered(Filter::kLanczos);
}

ImageMap channel_map(const std::string& what, const Shape& from, int64_t channels) {
  DDPM_CHECK((from[2] == 1 && channels == 3) || (from[2] == 3 && channels == 1),
             "{}: cannot make {} channels of {}; allowed are 1 and 3", what, channels, from[2]);
  return [pixels = from[0] * from[1], channels](const uint8_t* in, uint8_t* out) {
    for (int64_t p = 0; p < pixels; ++p)
      if (channels == 3) {
        out = std::fill_n(out, 3, in[p]);
      } else {
        const int luma = 299 * in[3 * p] + 587 * in[3 * p + 1] + 114 * in[3 * p + 2];
        *out++ = static_cast<uint8_t>((luma + 500) / 1000);
      }
  };
}

void resize(Dataset& dataset, int64_t height, int64_t width, Resize mode) {
  const Shape from = dataset.image_shape, to{height, width, from[2]};
  if (from == to) return;
  check_grey_levels(dataset, "a change of size");
  rewrite(dataset, to, resize_map(title(dataset), from, to, mode, dataset.levels));
}

void convert_channels(Dataset& dataset, int64_t channels) {
  const Shape from = dataset.image_shape;
  if (from[2] == channels) return;
  check_grey_levels(dataset, "a change of channels");
  rewrite(dataset, from.with_inner(channels), channel_map(title(dataset), from, channels));
}

}  // namespace ddpm
