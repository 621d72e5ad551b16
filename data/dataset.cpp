// Digests of what was read.
#include "data/dataset.h"

#include <bit>
#include <span>

#include "framework/io/sha256.h"

namespace ddpm {

static_assert(std::endian::native == std::endian::little, "digests are of little-endian bytes");

void fingerprint(Split& split) {
  split.data_sha256 = split.values.empty() ? sha256_hex(std::as_bytes(std::span(split.pixels)))
                                           : sha256_hex(std::as_bytes(std::span(split.values)));
  split.labels_sha256 =
      split.labels.empty() ? "" : sha256_hex(std::as_bytes(std::span(split.labels)));
}

}  // namespace ddpm
