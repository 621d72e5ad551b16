#include "data/resample.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace ddpm {
namespace {

constexpr int kFractionBits = 22;  // of Pillow's weights

struct Kernel {
  double support;
  double (*at)(double x);
};

double sinc(double x) {
  return x == 0 ? 1 : std::sin(x * std::numbers::pi) / (x * std::numbers::pi);
}

Kernel kernel_of(Filter filter) {
  switch (filter) {
    case Filter::kBox: return {0.5, [](double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }};
    case Filter::kBilinear: return {1, [](double x) { return std::max(0.0, 1 - std::abs(x)); }};
    case Filter::kBicubic:  // Keys 1981 with a = -1/2
      return {2, [](double x) {
                constexpr double a = -0.5;
                x = std::abs(x);
                if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
                return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
              }};
    case Filter::kLanczos: break;
  }
  return {3, [](double x) { return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0.0; }};
}

}  // namespace

Resampler::Resampler(const Shape& from, int64_t height, int64_t width, Filter filter, int levels)
    : from_(from), largest_(levels - 1) {
  if (height != from[0]) rows_ = make_taps(from[0], height, filter);
  if (width != from[1]) columns_ = make_taps(from[1], width, filter);
}

std::vector<Resampler::Taps> Resampler::make_taps(int64_t from, int64_t to, Filter filter) {
  const Kernel kernel = kernel_of(filter);
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double widening = std::max(scale, 1.0), support = kernel.support * widening;
  std::vector<Taps> taps(static_cast<size_t>(to));
  for (int64_t i = 0; i < to; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto begin = std::max<int64_t>(0, static_cast<int64_t>(centre - support + 0.5));
    const auto end = std::min<int64_t>(from, static_cast<int64_t>(centre + support + 0.5));
    std::vector<double> weights;
    double sum = 0;
    for (int64_t j = begin; j < end; ++j) {
      weights.push_back(kernel.at((static_cast<double>(j) - centre + 0.5) * (1 / widening)));
      sum += weights.back();
    }
    taps[i].begin = begin;
    for (const double w : weights)
      taps[i].weights.push_back(std::llround(w / sum * (int64_t{1} << kFractionBits)));
  }
  return taps;
}

// Filters the middle axis of (outer, length, inner).
void Resampler::pass(const std::vector<Taps>& taps, int64_t outer, int64_t length, int64_t inner,
                     const uint8_t* in, uint8_t* out) const {
  for (int64_t o = 0; o < outer; ++o)
    for (const Taps& t : taps) {
      const uint8_t* first = in + (o * length + t.begin) * inner;
      for (int64_t i = 0; i < inner; ++i) {
        int64_t sum = int64_t{1} << (kFractionBits - 1);  // rounds to nearest
        for (size_t j = 0; j < t.weights.size(); ++j)
          sum += t.weights[j] * first[static_cast<int64_t>(j) * inner + i];
        *out++ = static_cast<uint8_t>(std::clamp<int64_t>(sum >> kFractionBits, 0, largest_));
      }
    }
}

void Resampler::operator()(const uint8_t* in, uint8_t* out) const {
  const int64_t height = from_[0], width = from_[1], channels = from_[2];
  if (rows_.empty() && columns_.empty()) {
    std::copy_n(in, from_.numel(), out);
  } else if (rows_.empty()) {
    pass(columns_, height, width, channels, in, out);
  } else if (columns_.empty()) {
    pass(rows_, 1, height, width * channels, in, out);
  } else {
    const auto to_width = static_cast<int64_t>(columns_.size());
    std::vector<uint8_t> narrow(static_cast<size_t>(height * to_width * channels));
    pass(columns_, height, width, channels, in, narrow.data());
    pass(rows_, 1, height, to_width * channels, narrow.data(), out);
  }
}

}  // namespace ddpm
