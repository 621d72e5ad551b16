// Digests of what was read.
#include "data/dataset.h"

#include <bit>
#include <span>
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

void fingerprint(Split& split) {
  split.data_sha256 = split.values.empty() ? sha256_hex(std::as_bytes(std::span(split.pixels)))
                                           : sha256_hex(std::as_bytes(std::span(split.values)));
  split.labels_sha256 =
      split.labels.empty() ? "" : sha256_hex(std::as_bytes(std::span(split.labels)));
}

}  // namespace ddpm
