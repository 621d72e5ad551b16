// FeatureExtractor: a small classifier of the data set whose feature space the distances are
// measured in. Distances of two extractors cannot be compared, and none of them is an FID: they are
// named by the extractor (fd_digits1) and belong to its weights.
//
// An extractor is an HDF5 file. Extractors of two data sets are shipped inside the library:
// experiments/extractors/*.json are the configurations that reproduce them.
//
//   /                attributes: format, format_version, name, config_json, dataset, data_sha256,
//                    levels, height, width, channels, classes, test_accuracy
//   /params/<path>   weights
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "framework/io/hdf5_file.h"
#include "layers/classifier.h"

namespace ddpm {

// What an extractor was trained on.
struct ExtractorInfo {
  std::string name;                  // lower-case letters, digits and '_': part of metric names
  std::string config_json;           // reproduces it
  std::string dataset, data_sha256;  // of the training images as read
  int levels = 0;                    // 0: continuous
  Shape image_shape;                 // (H, W, C)
  int64_t classes = 0;
  double test_accuracy = 0;  // on the held-out images, when it was trained
};

class FeatureExtractor {
 public:
  // Reads and checks a file that save_extractor wrote.
  FeatureExtractor(const Hdf5Reader& file, Device device);

  const ExtractorInfo& info() const { return info_; }
  const std::string& name() const { return info_.name; }
  const std::string& weights_sha256() const { return weights_sha256_; }
  const Shape& image_shape() const { return info_.image_shape; }
  int64_t dimension() const { return dimension_; }

  // images (N, H, W, C) f32 on [-1, 1] -> (N, dimension)
  Tensor features(const Tensor& images) const { return classifier_->features(images); }
  // Of all images of a split of such data: (count, dimension) on the host.
  Tensor features(const Split& split) const;
  double accuracy(const Split& split) const;
  // The likeliest class of each image, from its features (N, dimension) on the host.
  std::vector<int32_t> classify(const Tensor& features) const;

  // Throws a UserError unless the extractor was trained on these data, in this form.
  void check_dataset(const Dataset& dataset) const;

 private:
  ExtractorInfo info_;
  Parameters parameters_;
  std::unique_ptr<Classifier> classifier_;
  std::string weights_sha256_;
  int64_t dimension_ = 0;
  Device device_;
};

// f of the images of a split, batch by batch: (N, H, W, C) f32 -> (N, K) makes (count, K) on the
// host.
Tensor map_images(const Split& split, const Shape& image_shape, int levels, Device device,
                  const std::function<Tensor(const Tensor&)>& f);
// The place of the largest of the logits (N, K), on the host, in each row.
std::vector<int32_t> likeliest(const Tensor& logits);
// How many places of the two, which are as long, have the same class.
int64_t count_equal(std::span<const int32_t> a, std::span<const int32_t> b);
// How often the likeliest is the label.
double accuracy(const Tensor& logits, const std::vector<int32_t>& labels);

// SHA-256 of the values of all parameters, one after the other.
std::string weights_digest(const Parameters& parameters);
ExtractorInfo read_extractor_info(const Hdf5Reader& file);
// `weights` is a flat buffer of `parameters`.
void save_extractor(const std::string& path, const ExtractorInfo& info,
                    const Parameters& parameters, const Tensor& weights);

// The extractor inside the library for a data set, or null.
std::unique_ptr<FeatureExtractor> shipped_extractor(const std::string& dataset,
                                                    const Shape& image_shape, Device device);
// What to tell a user when there is none.
std::string missing_extractor_message(const std::string& dataset, const Shape& image_shape);

}  // namespace ddpm
