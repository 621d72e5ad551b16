#include "experiments/metrics/extractor.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <span>

#include "experiments/metrics/extractor_training.h"
#include "experiments/runner/trainer.h"
#include "framework/io/sha256.h"
#include "framework/ops/image_batch.h"
#include "framework/train/checkpoint.h"

namespace ddpm {
namespace {

constexpr const char* kFormat = "ddpm.extractor";
constexpr int64_t kFormatVersion = 1;
constexpr int64_t kBatch = 128;  // images; features do not depend on it

}  // namespace

std::string weights_digest(const Parameters& parameters) {
  Sha256 sha;
  for (const Parameters::Slot& slot : parameters.slots()) {
    const std::vector<float> values = slot.tensor.to_host<float>();
    sha.update(std::as_bytes(std::span(values)));
  }
  return sha.hex();
}

ExtractorInfo read_extractor_info(const Hdf5Reader& file) {
  DDPM_CHECK(file.has_attribute("/", "format") && file.string("/", "format") == kFormat,
             "{}: not a feature extractor (its attribute 'format' is not '{}')", file.path(),
             kFormat);
  const int64_t version = file.integer("/", "format_version");
  DDPM_CHECK(version == kFormatVersion, "{}: format version {}; this program reads version {}",
             file.path(), version, kFormatVersion);
  const auto integer = [&](const char* name, int64_t min, int64_t max) {
    const int64_t value = file.integer("/", name);
    DDPM_CHECK(value >= min && value <= max, "{}: '{}' is {}, expected {} to {}", file.path(), name,
               value, min, max);
    return value;
  };
  ExtractorInfo info;
  info.name = file.string("/", "name");
  DDPM_CHECK(is_extractor_name(info.name), "{}: '{}' is no name of an extractor", file.path(),
             info.name);
  info.config_json = file.string("/", "config_json");
  info.dataset = file.string("/", "dataset");
  info.data_sha256 = file.string("/", "data_sha256");
  info.levels = static_cast<int>(integer("levels", 0, 256));
  info.image_shape = {integer("height", 1, kMaxSide), integer("width", 1, kMaxSide),
                      integer("channels", 1, 1024)};
  info.classes = integer("classes", 2, 65536);
  info.test_accuracy = file.number("/", "test_accuracy");
  return info;
}

FeatureExtractor::FeatureExtractor(const Hdf5Reader& file, Device device)
    : info_(read_extractor_info(file)), device_(device) {
  const Config config(ConfigSource::parse_text(info_.config_json, file.path() + ": config_json"));
  const ExtractorConfig read(config);
  config.finish();
  classifier_ = std::make_unique<Classifier>(Scope(parameters_), read.model, info_.image_shape,
                                             info_.classes);
  parameters_.allocate(DType::kF32, device, /*seed=*/0);
  read_parameters(file, "/params", parameters_, parameters_.master);
  weights_sha256_ = weights_digest(parameters_);
  dimension_ = read.model.channels.back();
}

Tensor FeatureExtractor::features(const Split& split) const {
  return map_images(split, info_.image_shape, info_.levels, device_,
                    [this](const Tensor& images) { return features(images); });
}

double FeatureExtractor::accuracy(const Split& split) const {
  const Tensor logits = map_images(split, info_.image_shape, info_.levels, device_,
                                   [this](const Tensor& x) { return classifier_->logits(x); });
  return ddpm::accuracy(logits, split.labels);
}

std::vector<int32_t> FeatureExtractor::classify(const Tensor& features) const {
  const Tensor x = Tensor::from_host(features.to_host<float>(), features.shape(), device_);
  const Tensor logits = classifier_->logits_of(x);
  return likeliest(Tensor::from_host(logits.to_host<float>(), logits.shape(), Device::kCpu));
}

void FeatureExtractor::check_dataset(const Dataset& dataset) const {
  DDPM_CHECK(dataset.image_shape == info_.image_shape && dataset.levels == info_.levels,
             "extractor '{}' is for images {} of {} grey levels, data '{}' have images {} of {}",
             info_.name, info_.image_shape, info_.levels, dataset.name, dataset.image_shape,
             dataset.levels);
  DDPM_CHECK(dataset.train.data_sha256 == info_.data_sha256,
             "extractor '{}' was trained on other images (of '{}', SHA-256 {}) than the training "
             "split of data '{}' (SHA-256 {})",
             info_.name, info_.dataset, info_.data_sha256, dataset.name, dataset.train.data_sha256);
}

Tensor map_images(const Split& split, const Shape& image_shape, int levels, Device device,
                  const std::function<Tensor(const Tensor&)>& f) {
  const Tensor images = upload_images(split, image_shape, device);
  Tensor result;
  for (int64_t begin = 0; begin < split.count; begin += kBatch) {
    const int64_t end = std::min(begin + kBatch, split.count);
    std::vector<int32_t> rows(static_cast<size_t>(end - begin));
    std::iota(rows.begin(), rows.end(), static_cast<int32_t>(begin));
    const Tensor indices = Tensor::from_host(rows, {end - begin}, device);
    const Tensor y = f(gather_images(images, indices, {}, levels, DType::kF32));
    if (!result) result = Tensor::empty(y.shape().with_outer(split.count), y.dtype(), Device::kCpu);
    y.copy_to_host(result.slice(begin, end).raw());
  }
  return result;
}

std::vector<int32_t> likeliest(const Tensor& logits) {
  const int64_t classes = logits.shape()[1];
  std::vector<int32_t> places;
  for (int64_t n = 0; n < logits.shape()[0]; ++n) {
    const float* row = logits.data<float>() + n * classes;
    places.push_back(static_cast<int32_t>(std::max_element(row, row + classes) - row));
  }
  return places;
}

int64_t count_equal(std::span<const int32_t> a, std::span<const int32_t> b) {
  DDPM_ASSERT(a.size() == b.size(), "{} classes beside {}", a.size(), b.size());
  return std::inner_product(a.begin(), a.end(), b.begin(), int64_t{0}, std::plus<>(),
                            std::equal_to<>());
}

double accuracy(const Tensor& logits, const std::vector<int32_t>& labels) {
  return static_cast<double>(count_equal(labels, likeliest(logits))) /
         static_cast<double>(labels.size());
}

void save_extractor(const std::string& path, const ExtractorInfo& info,
                    const Parameters& parameters, const Tensor& weights) {
  Hdf5Writer file(path);
  file.set_string("/", "format", kFormat);
  file.set_integer("/", "format_version", kFormatVersion);
  file.set_string("/", "name", info.name);
  file.set_string("/", "config_json", info.config_json);
  file.set_string("/", "dataset", info.dataset);
  file.set_string("/", "data_sha256", info.data_sha256);
  file.set_integer("/", "levels", info.levels);
  file.set_integer("/", "height", info.image_shape[0]);
  file.set_integer("/", "width", info.image_shape[1]);
  file.set_integer("/", "channels", info.image_shape[2]);
  file.set_integer("/", "classes", info.classes);
  file.set_number("/", "test_accuracy", info.test_accuracy);
  write_parameters(file, "/params", parameters, weights);
  file.commit();
}

}  // namespace ddpm
