// A header's claims are compared with the bytes that are there before anything is allocated.
#include "data/idx.h"

#include <algorithm>
#include <filesystem>

#include "framework/io/file.h"

namespace ddpm {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 30;  // the largest known, EMNIST by class, is 0.6 GiB
constexpr size_t kMaxRank = 4;
constexpr int kTypeU8 = 0x08;

bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

std::string plain_or_gz(const std::string& path) {
  if (exists(path)) return path;
  DDPM_CHECK(exists(path + ".gz"), "idx: there is neither '{}' nor '{}.gz'", path, path);
  return path + ".gz";
}

Split read_split(const std::string& images_path, const std::string& labels_path,
                 Shape& image_shape) {
  IdxArray images = read_idx(images_path);
  const std::vector<int64_t>& e = images.extents;
  DDPM_CHECK(e.size() == 3 || e.size() == 4,
             "idx: '{}' has rank {}; images have rank 3 (N, H, W) or 4 (N, H, W, C)", images_path,
             e.size());
  const int64_t channels = e.size() == 4 ? e[3] : 1;
  DDPM_CHECK(
      e[0] >= 1 && e[1] >= 1 && e[1] <= kMaxSide && e[2] >= 1 && e[2] <= kMaxSide &&
          (channels == 1 || channels == 3),
      "idx: '{}' has {} images of {}x{}x{}; allowed are at least one image, sides of 1 to {} "
      "and 1 or 3 channels",
      images_path, e[0], e[1], e[2], channels, kMaxSide);
  const Shape shape{e[1], e[2], channels};
  DDPM_CHECK(image_shape.rank() == 0 || image_shape == shape,
             "idx: '{}' has images of shape {}, the training images have {}", images_path, shape,
             image_shape);
  image_shape = shape;

  Split split;
  split.count = e[0];
  split.pixels = std::move(images.values);
  if (labels_path.empty()) return split;
  const IdxArray labels = read_idx(labels_path);
  DDPM_CHECK(labels.extents.size() == 1, "idx: '{}' has rank {}; labels have rank 1", labels_path,
             labels.extents.size());
  DDPM_CHECK(labels.extents[0] == split.count, "idx: '{}' has {} labels for the {} images of '{}'",
             labels_path, labels.extents[0], split.count, images_path);
  split.labels.assign(labels.values.begin(), labels.values.end());
  return split;
}

int32_t largest_label(const Dataset& dataset) {
  int32_t largest = -1;
  for (const Split* split : {&dataset.train, &dataset.test})
    for (int32_t label : split->labels) largest = std::max(largest, label);
  return largest;
}

std::vector<std::string> numbered(int32_t classes) {
  std::vector<std::string> names;
  for (int32_t c = 0; c < classes; ++c) names.push_back(std::to_string(c));
  return names;
}

Dataset read_original_names(const std::string& folder, const std::string& torchvision_name,
                            std::vector<std::string> class_names) {
  std::string found = folder;
  for (const std::string& below : {std::string("/raw"), "/" + torchvision_name + "/raw"})
    if (exists(folder + below)) found = folder + below;
  Dataset dataset =
      read_idx_dataset({found + "/train-images-idx3-ubyte", found + "/train-labels-idx1-ubyte",
                        found + "/t10k-images-idx3-ubyte", found + "/t10k-labels-idx1-ubyte"});
  const auto classes = static_cast<int32_t>(class_names.size());
  DDPM_CHECK(largest_label(dataset) < classes, "idx: '{}' has label {}; allowed are 0 to {}", found,
             largest_label(dataset), classes - 1);
  dataset.class_names = std::move(class_names);
  return dataset;
}

}  // namespace

IdxArray read_idx(const std::string& wanted_path) {
  const std::string path = plain_or_gz(wanted_path);
  const std::vector<std::byte> bytes = read_gzip_file(path, kMaxBytes);
  const auto at = [&](size_t i) { return std::to_integer<int>(bytes[i]); };
  DDPM_CHECK(bytes.size() >= 4, "idx: '{}' has {} bytes, less than a header", path, bytes.size());
  DDPM_CHECK(at(0) == 0 && at(1) == 0,
             "idx: '{}' starts with the bytes {:02x} {:02x}; an IDX file starts with 00 00", path,
             at(0), at(1));
  DDPM_CHECK(at(2) == kTypeU8, "idx: '{}' has elements of type {:#04x}; only {:#04x} (u8) is read",
             path, at(2), kTypeU8);
  const auto rank = static_cast<size_t>(at(3));
  DDPM_CHECK(rank >= 1 && rank <= kMaxRank, "idx: '{}' has rank {}; allowed are 1 to {}", path,
             rank, kMaxRank);
  const size_t header = 4 + 4 * rank;
  DDPM_CHECK(bytes.size() >= header, "idx: '{}' has {} bytes, less than its header of {}", path,
             bytes.size(), header);

  IdxArray array;
  size_t elements = 1;
  for (size_t i = 4; i < header; i += 4) {
    const uint32_t extent =
        static_cast<uint32_t>(at(i)) << 24 | static_cast<uint32_t>(at(i + 1)) << 16 |
        static_cast<uint32_t>(at(i + 2)) << 8 | static_cast<uint32_t>(at(i + 3));
    array.extents.push_back(extent);
    // Both factors are below 2^32 here, so the product cannot wrap.
    elements *= extent;
    DDPM_CHECK(elements <= kMaxBytes, "idx: '{}' claims more than the {} elements allowed", path,
               kMaxBytes);
  }
  DDPM_CHECK(bytes.size() == header + elements,
             "idx: '{}' has {} bytes of elements, its header says {}", path, bytes.size() - header,
             elements);
  const auto* begin = reinterpret_cast<const uint8_t*>(bytes.data());
  array.values.assign(begin + header, begin + bytes.size());
  return array;
}

Dataset read_idx_dataset(const IdxPaths& paths) {
  DDPM_CHECK(!paths.test_images.empty() || paths.test_labels.empty(),
             "idx: test labels '{}' without test images", paths.test_labels);
  Dataset dataset;
  dataset.name = "idx";
  dataset.train = read_split(paths.images, paths.labels, dataset.image_shape);
  if (!paths.test_images.empty())
    dataset.test = read_split(paths.test_images, paths.test_labels, dataset.image_shape);
  dataset.class_names = numbered(largest_label(dataset) + 1);
  dataset.source = paths.images;
  dataset.licence = "unknown";
  return dataset;
}

Dataset read_mnist(const std::string& folder) {
  Dataset dataset = read_original_names(folder, "MNIST", numbered(10));
  dataset.name = "mnist";
  dataset.source = "Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST Database of Handwritten Digits";
  dataset.licence = "CC BY-SA 3.0";
  dataset.flippable = false;
  return dataset;
}

Dataset read_fashion_mnist(const std::string& folder) {
  Dataset dataset = read_original_names(folder, "FashionMNIST",
                                        {"T-shirt/top", "trouser", "pullover", "dress", "coat",
                                         "sandal", "shirt", "sneaker", "bag", "ankle boot"});
  dataset.name = "fashion-mnist";
  dataset.source =
      "H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking "
      "Machine "
      "Learning Algorithms, 2017, (c) Zalando SE";
  dataset.licence = "MIT";
  return dataset;
}

}  // namespace ddpm
