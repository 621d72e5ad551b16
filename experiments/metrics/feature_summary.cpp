#include "experiments/metrics/feature_summary.h"

#include <algorithm>

#include "framework/core/check.h"
#include "framework/random/permutation.h"
#include "framework/random/random.h"

namespace ddpm {
namespace {

constexpr int64_t kRowBytes = int64_t{256} << 20;

// Those computed by `space` of rows begin .. end - 1.
ImageFeatures part_of(const ImageFeatures& all, int64_t begin, int64_t end) {
  const auto part = [&](const Tensor& t) { return t ? t.slice(begin, end) : t; };
  return {part(all.features), part(all.logits), part(all.spatial)};
}

}  // namespace

int64_t kept_rows(int64_t count, int64_t dimension) {
  return std::min(count, kRowBytes / (dimension * static_cast<int64_t>(sizeof(float))));
}

FeaturePass::FeaturePass(const FeatureSpace& space, int64_t count,
                         std::shared_ptr<const FrechetReference> reference)
    : count_(count),
      reference_(std::move(reference)),
      features_(space.dimension()),
      rows_(Tensor::empty({kept_rows(count, space.dimension()), space.dimension()}, DType::kF32,
                          Device::kCpu)) {
  if (space.spatial_dimension() > 0) spatial_.emplace(space.spatial_dimension());
  if (!reference_) return;
  constexpr int64_t kSplits = 10;
  if (space.logit_count() > 0 && count >= kSplits)
    score_.emplace(count, space.logit_count(), kSplits);
  point_counts_ = extrapolation_counts(count, space.dimension());
}

// The images whose number under a fixed permutation is small.
bool FeaturePass::keeps(int64_t image) const {
  if (rows_.shape()[0] == count_) return true;
  static const uint32_t site = random_site("feature_pass/rows");
  const Permutation permutation(/*seed=*/0, site, 0, static_cast<uint32_t>(count_));
  return permutation(static_cast<uint32_t>(image)) < static_cast<uint32_t>(rows_.shape()[0]);
}

void FeaturePass::add(const ImageFeatures& images) {
  const int64_t size = images.features.shape()[0], dimension = images.features.shape()[1];
  DDPM_ASSERT(seen() + size <= count_, "{} and {} more of {} images", seen(), size, count_);
  for (int64_t begin = 0; begin < size;) {
    // Distances are taken at exact numbers of images.
    const bool has_point = points_.size() < point_counts_.size();
    const int64_t next = has_point ? point_counts_[points_.size()] : count_;
    const int64_t end = std::min(size, begin + next - seen());
    const ImageFeatures part = part_of(images, begin, end);
    for (int64_t i = 0; i < end - begin; ++i)
      if (keeps(seen() + i))
        std::copy_n(part.features.data<float>() + i * dimension, dimension,
                    rows_.data<float>() + kept_++ * dimension);
    features_.add(part.features);
    if (spatial_) spatial_->add(part.spatial);
    if (score_) score_->add(part.logits);
    if (has_point && seen() == next)
      points_.push_back({next, reference_->distance(features_.statistics())});
    begin = end;
  }
}

FeatureSummary FeaturePass::summary() const {
  DDPM_ASSERT(seen() == count_, "{} of {} images", seen(), count_);
  FeatureSummary summary{features_.statistics(), std::nullopt, rows_, score_, points_};
  if (spatial_) summary.spatial = spatial_->statistics();
  return summary;
}

void FeaturePass::save(Hdf5Writer& file, const std::string& group) const {
  const auto numbers = [&](const char* name, const std::vector<double>& values) {
    file.array<double>(group + name, {static_cast<int64_t>(values.size())}, values);
  };
  file.group(group);
  numbers("/statistics", features_.state());
  if (spatial_) numbers("/spatial", spatial_->state());
  if (score_) numbers("/score", score_->state());
  std::vector<double> distances;
  for (const FrechetPoint& point : points_) distances.push_back(point.distance);
  if (!distances.empty()) numbers("/distances", distances);
  if (kept_ > 0) {
    const Tensor kept = rows_.slice(0, kept_);
    file.array(group + "/rows", kept.shape(), DType::kF32, kept.raw());
  }
}

void FeaturePass::restore(const Hdf5Reader& file, const std::string& group) {
  const auto numbers = [&](const char* name) {
    return file.read<double>(group + name, file.info(group + name).shape);
  };
  features_.restore(numbers("/statistics"));
  if (spatial_) spatial_->restore(numbers("/spatial"));
  if (score_) score_->restore(numbers("/score"));
  points_.clear();
  if (file.has(group + "/distances"))
    for (const double distance : numbers("/distances"))
      points_.push_back({point_counts_.at(points_.size()), distance});
  kept_ = 0;
  if (file.has(group + "/rows")) {
    kept_ = file.info(group + "/rows").shape[0];
    DDPM_CHECK(kept_ <= rows_.shape()[0], "{}: {} rows of at most {}", file.path(), kept_,
               rows_.shape()[0]);
    const Tensor kept = rows_.slice(0, kept_);
    file.read(group + "/rows", kept.shape(), DType::kF32, kept.raw());
  }
}

FeatureSummary summarise(const FeatureSpace& space, const Split& images, const Shape& image_shape,
                         std::shared_ptr<const FrechetReference> reference) {
  constexpr int64_t kBatch = 1024;
  FeaturePass pass(space, images.count, std::move(reference));
  for (int64_t begin = 0; begin < images.count; begin += kBatch)
    pass.add(
        space.features(slice(images, image_shape, begin, std::min(kBatch, images.count - begin))));
  return pass.summary();
}

}  // namespace ddpm
