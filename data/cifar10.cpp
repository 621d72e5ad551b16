// The record has no header: the length of a file and its labels are all that can be checked.
#include "data/cifar10.h"

#include <filesystem>

#include "framework/io/file.h"

namespace ddpm {
namespace {

constexpr int64_t kSide = 32, kChannels = 3, kPlane = kSide * kSide;
constexpr int64_t kImage = kPlane * kChannels;
constexpr int64_t kRecord = 1 + kImage;
constexpr size_t kMaxBytes = size_t{1} << 30;  // six times the whole data set

void append_records(const std::string& path, const Dataset& dataset, Split& split) {
  const std::vector<std::byte> bytes = read_binary_file(path, kMaxBytes);
  const auto size = static_cast<int64_t>(bytes.size());
  DDPM_CHECK(size > 0 && size % kRecord == 0,
             "cifar10: '{}' has {} bytes, not a positive multiple of the {} bytes of a record",
             path, size, kRecord);
  const int64_t records = size / kRecord;
  const auto classes = static_cast<int32_t>(dataset.class_names.size());
  split.labels.reserve(static_cast<size_t>(split.count + records));
  split.pixels.resize(static_cast<size_t>((split.count + records) * kImage));
  uint8_t* out = split.pixels.data() + split.count * kImage;
  for (int64_t i = 0; i < records; ++i) {
    const auto* record = reinterpret_cast<const uint8_t*>(bytes.data()) + i * kRecord;
    DDPM_CHECK(record[0] < classes, "cifar10: '{}': record {} has label {}; allowed are 0 to {}",
               path, i, record[0], classes - 1);
    split.labels.push_back(record[0]);
    for (int64_t p = 0; p < kPlane; ++p)
      for (int64_t c = 0; c < kChannels; ++c) *out++ = record[1 + c * kPlane + p];
  }
  split.count += records;
}

}  // namespace

Dataset read_cifar10(const std::string& path) {
  Dataset dataset;
  dataset.name = "cifar10";
  dataset.image_shape = {kSide, kSide, kChannels};
  dataset.class_names = {"airplane", "automobile", "bird",  "cat",  "deer",
                         "dog",      "frog",       "horse", "ship", "truck"};
  dataset.source =
      "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical report, "
      "University of Toronto, 2009";
  dataset.licence = "none stated";

  std::error_code ignored;  // what is not a folder is opened as a file, whose error says why
  if (!std::filesystem::is_directory(path, ignored)) {
    append_records(path, dataset, dataset.train);
    return dataset;
  }
  const std::string nested = path + "/cifar-10-batches-bin";
  const std::string folder = std::filesystem::is_directory(nested, ignored) ? nested : path;
  for (int batch = 1; batch <= 5; ++batch)
    append_records(fmt::format("{}/data_batch_{}.bin", folder, batch), dataset, dataset.train);
  append_records(folder + "/test_batch.bin", dataset, dataset.test);
  return dataset;
}

}  // namespace ddpm
