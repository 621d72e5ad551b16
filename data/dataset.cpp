// Digests of what was read.
#include "data/dataset.h"

#include <algorithm>
#include <bit>
#include <type_traits>

#include "framework/core/check.h"
#include "framework/io/sha256.h"

namespace ddpm {

static_assert(std::endian::native == std::endian::little, "digests are of little-endian bytes");

Split slice(const Split& split, const Shape& image_shape, int64_t first, int64_t count) {
  DDPM_ASSERT(first >= 0 && count >= 0 && first + count <= split.count, "images {} to {} of {}",
              first, first + count - 1, split.count);
  const auto cut = [&](const auto& values, int64_t size) {
    if (values.empty()) return values;
    return std::decay_t<decltype(values)>(values.begin() + first * size,
                                          values.begin() + (first + count) * size);
  };
  Split part;
  part.count = count;
  part.pixels = cut(split.pixels, image_shape.numel());
  part.values = cut(split.values, image_shape.numel());
  part.labels = cut(split.labels, 1);
  return part;
}

Split select(const Split& split, const Shape& image_shape, std::span<const int64_t> images) {
  const auto gather = [&](const auto& values, int64_t size) {
    std::decay_t<decltype(values)> chosen;
    if (values.empty()) return chosen;
    chosen.reserve(images.size() * static_cast<size_t>(size));
    for (const int64_t i : images) {
      DDPM_ASSERT(i >= 0 && i < split.count, "image {} of {}", i, split.count);
      chosen.insert(chosen.end(), values.begin() + i * size, values.begin() + (i + 1) * size);
    }
    return chosen;
  };
  Split part;
  part.count = std::ssize(images);
  part.pixels = gather(split.pixels, image_shape.numel());
  part.values = gather(split.values, image_shape.numel());
  part.labels = gather(split.labels, 1);
  return part;
}

Split of_classes(const Split& split, const Shape& image_shape, std::span<const int64_t> classes) {
  std::vector<int64_t> images;
  for (int64_t i = 0; i < std::ssize(split.labels); ++i)
    if (std::find(classes.begin(), classes.end(), split.labels[i]) != classes.end())
      images.push_back(i);
  return select(split, image_shape, images);
}

void fingerprint(Split& split) {
  split.data_sha256 = split.values.empty() ? sha256_hex(std::as_bytes(std::span(split.pixels)))
                                           : sha256_hex(std::as_bytes(std::span(split.values)));
  split.labels_sha256 =
      split.labels.empty() ? "" : sha256_hex(std::as_bytes(std::span(split.labels)));
}

}  // namespace ddpm
