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

Split of_classes(const Split& split, const Shape& image_shape, std::span<const int64_t> classes) {
  Split part = slice(split, image_shape, 0, classes.empty() ? split.count : 0);
  const auto append = [](auto& to, const auto& from, int64_t i, int64_t size) {
    if (!from.empty()) to.insert(to.end(), from.begin() + i * size, from.begin() + (i + 1) * size);
  };
  for (int64_t i = 0; !classes.empty() && i < std::ssize(split.labels); ++i) {
    if (std::find(classes.begin(), classes.end(), split.labels[i]) == classes.end()) continue;
    append(part.pixels, split.pixels, i, image_shape.numel());
    append(part.values, split.values, i, image_shape.numel());
    append(part.labels, split.labels, i, 1);
    ++part.count;
  }
  return part;
}

void fingerprint(Split& split) {
  split.data_sha256 = split.values.empty() ? sha256_hex(std::as_bytes(std::span(split.pixels)))
                                           : sha256_hex(std::as_bytes(std::span(split.values)));
  split.labels_sha256 =
      split.labels.empty() ? "" : sha256_hex(std::as_bytes(std::span(split.labels)));
}

}  // namespace ddpm
