// Dataset: images and labels on the host, as plain values. Images are grey levels (u8, row-major,
// channels innermost) or, for synthetic data, continuous f32; a Split has one kind or the other.
// Grey level g of `levels` stands for 2 g / (levels - 1) - 1; continuous values are used as they
// are.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/gaussian_mixture.h"
#include "framework/core/shape.h"

namespace ddpm {

inline constexpr int64_t kMaxSide = 4096;  // of an image

struct Split {
  int64_t count = 0;
  std::vector<uint8_t> pixels;  // (count, H, W, C); empty when continuous
  std::vector<float> values;    // (count, H, W, C); empty when grey levels
  std::vector<int32_t> labels;  // (count), or empty
  // Of the bytes of pixels or values and of the labels as little-endian i32, both as read: before
  // `limit` and before any change of size or channels. labels_sha256 is empty without labels.
  std::string data_sha256, labels_sha256;
};

struct Dataset {
  std::string name;
  Shape image_shape;  // (H, W, C)
  int levels = 256;   // 0 for continuous data
  Split train;
  Split test;  // held out: never trained on; may be empty
  std::vector<std::string> class_names;
  std::string source, licence;
  std::string note;       // a warning that belongs beside every number measured on these data
  bool flip = false;      // training mirrors images at random (on the device)
  bool flippable = true;  // false where the mirror image is not of the distribution: digits
  std::optional<GaussianMixture> mixture;  // the true law, where it is known
};

// Images first .. first + count - 1 of a split, with their labels and without digests.
Split slice(const Split& split, const Shape& image_shape, int64_t first, int64_t count);

// These images, in this order, with their labels and without digests.
Split select(const Split& split, const Shape& image_shape, std::span<const int64_t> images);
// Those of some classes.
Split of_classes(const Split& split, const Shape& image_shape, std::span<const int64_t> classes);

// Fills the digests of a split.
void fingerprint(Split& split);

}  // namespace ddpm
