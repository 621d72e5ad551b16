// A keyed permutation of {0, ..., size - 1} that is evaluated at one place without a table: a
// four-round Feistel network on the smallest even number of bits that holds `size`, walked along
// its cycle until the value falls inside (Black & Rogaway 2002). Data can be shuffled on the
// device, and the order of any epoch is a function of (seed, site, epoch).
#pragma once

#include <cstdint>

#include "framework/core/host_device.h"
#include "framework/random/philox.h"

namespace ddpm {

class Permutation {
 public:
  DDPM_HD Permutation(uint64_t seed, uint32_t site, uint32_t epoch, uint32_t size)
      : seed_(seed), site_(site), epoch_(epoch), size_(size) {
    while ((uint64_t{1} << (2 * half_bits_)) < size) ++half_bits_;
  }

  DDPM_HD uint32_t operator()(uint32_t i) const {
    // At most four in five values of the network lie outside, so the walk is short.
    do i = feistel(i);
    while (i >= size_);
    return i;
  }

 private:
  DDPM_HD uint32_t feistel(uint32_t i) const {
    const uint32_t mask = (uint32_t{1} << half_bits_) - 1;
    uint32_t left = i >> half_bits_, right = i & mask;
    for (uint32_t round = 0; round < 4; ++round) {
      const uint32_t mixed = philox(seed_, {site_, epoch_, round}, right).v[0] & mask;
      const uint32_t next = left ^ mixed;
      left = right;
      right = next;
    }
    return (left << half_bits_) | right;
  }

  uint64_t seed_;
  uint32_t site_, epoch_, size_;
  int half_bits_ = 1;
};

}  // namespace ddpm
