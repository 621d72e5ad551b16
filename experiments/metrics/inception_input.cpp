#include "experiments/metrics/inception_input.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "framework/config/suggest.h"
#include "framework/cpu/scratch.h"
#include "layers/inception.h"

namespace ddpm {
namespace {

constexpr std::string_view kNames[] = {"tf", "pytorch", "clean"};

// One axis of a resizing: target i is the sum of weights[i, k] * source[first[i] + k].
struct AxisFilter {
  int64_t taps;
  std::vector<int64_t> first;
  std::vector<float> weights;  // (targets, taps)

  AxisFilter(int64_t targets, int64_t tap_count)
      : taps(tap_count),
        first(static_cast<size_t>(targets)),
        weights(static_cast<size_t>(targets * tap_count)) {}
  float* row(int64_t target) { return weights.data() + target * taps; }
};

// In single precision, as the originals compute positions.
AxisFilter bilinear(int64_t in, int64_t out, bool half_pixel) {
  AxisFilter filter(out, std::min<int64_t>(in, 2));
  const float scale = static_cast<float>(static_cast<double>(in) / static_cast<double>(out));
  for (int64_t i = 0; i < out; ++i) {
    const float target = static_cast<float>(i);
    const float source =
        half_pixel ? std::max(0.0F, scale * (target + 0.5F) - 0.5F) : scale * target;
    const int64_t low = std::min(static_cast<int64_t>(source), in - 1);
    const int64_t first = std::min(low, in - filter.taps);
    const float beyond = low == in - 1 ? 0 : source - static_cast<float>(low);
    filter.first[static_cast<size_t>(i)] = first;
    filter.row(i)[low - first] = 1 - beyond;
    if (beyond > 0) filter.row(i)[low - first + 1] = beyond;
  }
  return filter;
}

// Keys' cubic with a = -1/2.
double cubic(double x) {
  x = std::abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

// Its support is four source pixels, or four target pixels where those are larger.
AxisFilter antialiased_bicubic(int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double widening = std::max(scale, 1.0), support = 2 * widening;
  AxisFilter filter(out, std::min(in, static_cast<int64_t>(std::ceil(support)) * 2 + 1));
  for (int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const int64_t begin = std::max<int64_t>(0, static_cast<int64_t>(centre - support + 0.5));
    const int64_t end = std::min(in, static_cast<int64_t>(centre + support + 0.5));
    const auto weight = [&](int64_t j) {
      return cubic((static_cast<double>(j) - centre + 0.5) / widening);
    };
    double sum = 0;
    for (int64_t j = begin; j < end; ++j) sum += weight(j);
    const int64_t first = std::min(begin, in - filter.taps);
    filter.first[static_cast<size_t>(i)] = first;
    for (int64_t j = begin; j < end; ++j)
      filter.row(i)[j - first] = static_cast<float>(weight(j) / sum);
  }
  return filter;
}

AxisFilter make_filter(InceptionResize resize, int64_t in) {
  if (resize == InceptionResize::kClean) return antialiased_bicubic(in, Inception::kSide);
  return bilinear(in, Inception::kSide, resize == InceptionResize::kPytorch);
}

// to[i, c] = sum over taps of from[first[i] + k, c] for rows of `columns` values.
void filter_rows(const AxisFilter& filter, const float* from, int64_t columns, float* to) {
  for (size_t i = 0; i < filter.first.size(); ++i, to += columns) {
    const float* const source = from + filter.first[i] * columns;
    const float* const weights = filter.weights.data() + static_cast<int64_t>(i) * filter.taps;
    std::fill_n(to, columns, 0.0F);
    for (int64_t k = 0; k < filter.taps; ++k) {
      const float weight = weights[k];
      for (int64_t c = 0; c < columns; ++c) to[c] += weight * source[k * columns + c];
    }
  }
}

}  // namespace

std::string_view name_of(InceptionResize resize) { return kNames[static_cast<size_t>(resize)]; }

std::vector<std::string> inception_resizes() { return {std::begin(kNames), std::end(kNames)}; }

InceptionResize parse_inception_resize(std::string_view name) {
  const auto found = std::find(std::begin(kNames), std::end(kNames), name);
  DDPM_CHECK(found != std::end(kNames), "unknown resizing '{}'; known: {}.{}", name,
             fmt::join(kNames, ", "), did_you_mean(name, inception_resizes()));
  return static_cast<InceptionResize>(found - std::begin(kNames));
}

Tensor inception_input(const Tensor& pixels, InceptionResize resize) {
  const Shape& s = pixels.shape();
  DDPM_ASSERT(s.rank() == 4 && s[3] == 3 && pixels.device() == Device::kCpu, "pixels {}", s);
  constexpr int64_t kSide = Inception::kSide, kRow = kSide * 3;
  const AxisFilter rows = make_filter(resize, s[1]), columns = make_filter(resize, s[2]);
  const bool is_clean = resize == InceptionResize::kClean;
  const float scale = resize == InceptionResize::kPytorch ? 2.0F / 255 : 1.0F / 128;
  const Tensor input = Tensor::empty({s[0], kSide, kSide, 3}, DType::kF32, Device::kCpu);
  // Along the rows first, as all three do.
  cpu::parallel_for_scratch<float>(s[0], s[1] * kRow, [&](int64_t n, float* widened) {
    const float* image = pixels.data<float>() + n * s[1] * s[2] * 3;
    for (int64_t h = 0; h < s[1]; ++h)
      filter_rows(columns, image + h * s[2] * 3, 3, widened + h * kRow);
    float* const out = input.data<float>() + n * kSide * kRow;
    filter_rows(rows, widened, kRow, out);
    for (int64_t i = 0; i < kSide * kRow; ++i) {
      const float value = is_clean ? std::clamp(out[i], 0.0F, 255.0F) : out[i];
      out[i] = value * scale - 1;
    }
  });
  return input;
}

}  // namespace ddpm
