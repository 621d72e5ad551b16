#include "experiments/runner/mask.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include "framework/config/suggest.h"
#include "framework/core/check.h"
#include "framework/io/png.h"

namespace ddpm {
namespace {

struct Box {
  int64_t top, left, height, width;
  bool contains(int64_t y, int64_t x) const {
    return y >= top && y < top + height && x >= left && x < left + width;
  }
};

// Half of each side, in the middle.
Box middle(int64_t height, int64_t width) {
  return {height / 4, width / 4, height - height / 4 * 2, width - width / 4 * 2};
}

// Whether pixel (y, x) of an image of that size is redrawn. RePaint's masks are among them: its
// "half" is right, "expand" outside, "alternating lines" rows, "super-resolve 2x" lattice.
struct NamedMask {
  const char* name;
  bool (*redraws)(int64_t y, int64_t x, int64_t height, int64_t width);
};
using Side = int64_t;
constexpr NamedMask kMasks[] = {
    {"center", [](Side y, Side x, Side h, Side w) { return middle(h, w).contains(y, x); }},
    {"outside", [](Side y, Side x, Side h, Side w) { return !middle(h, w).contains(y, x); }},
    {"left", [](Side, Side x, Side, Side w) { return x < w / 2; }},
    {"right", [](Side, Side x, Side, Side w) { return x >= w / 2; }},
    {"top", [](Side y, Side, Side h, Side) { return y < h / 2; }},
    {"bottom", [](Side y, Side, Side h, Side) { return y >= h / 2; }},
    {"rows", [](Side y, Side, Side, Side) { return y % 2 == 1; }},
    {"lattice", [](Side y, Side x, Side, Side) { return y % 2 == 1 || x % 2 == 1; }},
};

constexpr std::string_view kBox = "box:";

Box parse_box(const std::string& mask, int64_t height, int64_t width) {
  std::array<int64_t, 4> numbers;
  const char* at = mask.data() + kBox.size();
  const char* const end = mask.data() + mask.size();
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (i > 0 && at != end && *at == ',') ++at;
    const auto [stop, error] = std::from_chars(at, end, numbers[i]);
    DDPM_CHECK(error == std::errc() && numbers[i] >= 0 && (i < 3 || stop == end),
               "--mask {}: a box is box:TOP,LEFT,HEIGHT,WIDTH in pixels", mask);
    at = stop;
  }
  const auto [top, left, box_height, box_width] = numbers;
  DDPM_CHECK(
      top <= height && left <= width && box_height <= height - top && box_width <= width - left,
      "--mask {}: the box ends at row {}, column {} of images of {} x {} (H x W) pixels", mask,
      top + box_height, left + box_width, height, width);
  return {top, left, box_height, box_width};
}

std::vector<uint8_t> mask_of_file(const std::string& file, int64_t height, int64_t width) {
  const Image image = read_png(file);
  const int64_t channels = image.shape[2];
  DDPM_CHECK(image.shape[0] == height && image.shape[1] == width,
             "--mask {}: {} x {} (H x W) pixels; the run's images have {} x {}", file,
             image.shape[0], image.shape[1], height, width);
  DDPM_CHECK(channels != 4, "--mask {}: it has an alpha channel; a mask is grey or RGB", file);
  std::vector<uint8_t> redrawn(static_cast<size_t>(height * width));
  for (size_t i = 0; i < redrawn.size(); ++i)
    for (int64_t c = 0; c < channels; ++c) {
      const uint8_t first = image.pixels[i * static_cast<size_t>(channels)];
      const uint8_t value = image.pixels[i * static_cast<size_t>(channels) + c];
      DDPM_CHECK((value == 0 || value == 255) && value == first,
                 "--mask {}: channel {} of pixel ({}, {}) is {}; a mask is white (255) where it "
                 "is redrawn and black (0) where it is kept",
                 file, c, static_cast<int64_t>(i) / width, static_cast<int64_t>(i) % width, value);
      redrawn[i] = value == 255;
    }
  return redrawn;
}

}  // namespace

std::string known_masks() {
  std::string names;
  for (const NamedMask& mask : kMasks) names += fmt::format("{}, ", mask.name);
  return names + "box:TOP,LEFT,HEIGHT,WIDTH";
}

std::vector<uint8_t> read_mask(const std::string& mask, const Shape& image_shape) {
  const int64_t height = image_shape[0], width = image_shape[1];
  std::vector<uint8_t> redrawn(static_cast<size_t>(height * width));
  const auto fill = [&](auto&& redraws) {
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x)
        redrawn[static_cast<size_t>(y * width + x)] = redraws(y, x);
  };
  const auto* named = std::find_if(std::begin(kMasks), std::end(kMasks),
                                   [&](const NamedMask& known) { return known.name == mask; });
  if (named != std::end(kMasks)) {
    fill([&](int64_t y, int64_t x) { return named->redraws(y, x, height, width); });
  } else if (mask.starts_with(kBox)) {
    const Box box = parse_box(mask, height, width);
    fill([&](int64_t y, int64_t x) { return box.contains(y, x); });
  } else {
    std::vector<std::string> names;
    for (const NamedMask& known : kMasks) names.emplace_back(known.name);
    DDPM_CHECK(std::filesystem::exists(mask),
               "--mask {}: there is no such file, and no mask of that name; known: {}.{}", mask,
               known_masks(), did_you_mean(mask, names));
    redrawn = mask_of_file(mask, height, width);
  }
  const auto count = std::count(redrawn.begin(), redrawn.end(), 1);
  DDPM_CHECK(count > 0, "--mask {}: it keeps every pixel, nothing is left to draw", mask);
  DDPM_CHECK(count < std::ssize(redrawn),
             "--mask {}: it redraws every pixel; 'ddpm sample' draws whole images", mask);
  return redrawn;
}

}  // namespace ddpm
