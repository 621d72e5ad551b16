// IDX, the format of MNIST and its relatives: bytes 0, 0, element type, rank, then the extents as
// big-endian u32 and the elements, the last extent innermost. Files may be compressed with gzip.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"

namespace ddpm {

struct IdxArray {
  std::vector<int64_t> extents;
  std::vector<uint8_t> values;
};

// Only elements of type u8 are read. `path` may be missing if `path`.gz is there.
IdxArray read_idx(const std::string& path);

// Images are (N, H, W) or (N, H, W, C) with 1 or 3 channels; labels are (N). The test files may be
// empty (no such split) and so may each of the label files. Classes are named by their numbers.
struct IdxPaths {
  std::string images, labels, test_images, test_labels;
};
Dataset read_idx_dataset(const IdxPaths& paths);

// The four files by their original names, in `folder` or where torchvision puts them below it.
Dataset read_mnist(const std::string& folder);
Dataset read_fashion_mnist(const std::string& folder);

// Where Debian's package dataset-fashion-mnist installs it.
inline constexpr char kFashionMnistFolder[] = "/usr/share/datasets/fashion-mnist";

}  // namespace ddpm
