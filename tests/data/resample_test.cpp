// Every filter against Pillow, for equality: both round the same integers.
#include "data/resample.h"

#include <gtest/gtest.h>

#include "framework/io/hdf5_file.h"

namespace ddpm {
namespace {

struct NamedFilter {
  const char* name;
  Filter filter;
};
constexpr NamedFilter kFilters[] = {{"box", Filter::kBox},
                                    {"bilinear", Filter::kBilinear},
                                    {"bicubic", Filter::kBicubic},
                                    {"lanczos", Filter::kLanczos}};

std::vector<uint8_t> resampled(const std::vector<uint8_t>& pixels, const Shape& from,
                               int64_t height, int64_t width, Filter filter, int levels = 256) {
  std::vector<uint8_t> out(static_cast<size_t>(height * width * from[2]));
  Resampler(from, height, width, filter, levels)(pixels.data(), out.data());
  return out;
}

TEST(Resample, EqualsPillow) {
  const Hdf5Reader golden(DDPM_TEST_DATA "/images.h5");
  const Shape from = golden.info("decoded/photo.png").shape;
  const std::vector<uint8_t> photo = golden.read<uint8_t>("decoded/photo.png", from);
  for (const NamedFilter& f : kFilters) {
    const std::vector<std::string> arrays = golden.arrays(std::string("resized/") + f.name);
    EXPECT_EQ(arrays.size(), 4u);  // smaller, larger, and one extent only
    for (const std::string& array : arrays) {
      const Shape to = golden.info(array).shape;
      EXPECT_EQ(resampled(photo, from, to[0], to[1], f.filter), golden.read<uint8_t>(array, to))
          << array;
    }
  }
}

TEST(Resample, StaysWithinTheLevels) {
  // An edge between the extremes: bicubic and Lanczos overshoot on both sides.
  const std::vector<uint8_t> edge = {0, 0, 0, 16, 16, 16};
  for (const NamedFilter& f : kFilters)
    for (const uint8_t value : resampled(edge, {1, 6, 1}, 1, 17, f.filter, 17))
      EXPECT_LE(value, 16) << f.name;
}

TEST(Resample, KeepsConstantImagesAndChannels) {
  std::vector<uint8_t> pixels;
  for (int i = 0; i < 12; ++i) pixels.insert(pixels.end(), {16, 0, 255});
  for (const NamedFilter& f : kFilters)
    for (const int64_t side : {2, 7}) {
      const std::vector<uint8_t> out = resampled(pixels, {3, 4, 3}, side, side, f.filter);
      for (size_t i = 0; i < out.size(); i += 3) {
        EXPECT_EQ(out[i], 16) << f.name;
        EXPECT_EQ(out[i + 1], 0) << f.name;
        EXPECT_EQ(out[i + 2], 255) << f.name;
      }
    }
}

}  // namespace
}  // namespace ddpm
