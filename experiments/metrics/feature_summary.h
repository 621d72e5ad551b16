// FeatureSummary: what the metrics need to know of a set of images in a feature space. FeaturePass
// gathers it batch by batch, in memory that does not grow with the number of images, and can be
// saved between two batches.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "experiments/metrics/feature_space.h"
#include "experiments/metrics/frechet_distance.h"
#include "experiments/metrics/inception_score.h"
#include "framework/io/hdf5_file.h"

namespace ddpm {

struct FeatureSummary {
  FeatureStatistics statistics;  // its count, 0 where a file does not say it, is that of the set
  std::optional<FeatureStatistics> spatial;
  Tensor rows;  // (K, D), single images for KID, precision and recall; null where a file has none
  // Of generated images alone:
  std::optional<InceptionScore> score;
  std::vector<FrechetPoint> points;  // distances of the first n from the reference
};

// Single images kept at 256 MiB of features, drawn from all with equal chances: 32,768 of
// Inception's, or all if there are no more.
int64_t kept_rows(int64_t count, int64_t dimension);

class FeaturePass {
 public:
  // Over `count` images. With a reference they are generated ones.
  FeaturePass(const FeatureSpace& space, int64_t count,
              std::shared_ptr<const FrechetReference> reference = nullptr);

  void add(const ImageFeatures& features);  // of the next images
  int64_t seen() const { return features_.count(); }
  FeatureSummary summary() const;  // once all are seen

  // Into, and from, a group of a file.
  void save(Hdf5Writer& file, const std::string& group) const;
  void restore(const Hdf5Reader& file, const std::string& group);

 private:
  bool keeps(int64_t image) const;

  int64_t count_;
  std::shared_ptr<const FrechetReference> reference_;
  FeatureAccumulator features_;
  std::optional<FeatureAccumulator> spatial_;
  std::optional<InceptionScore> score_;
  std::vector<int64_t> point_counts_;
  std::vector<FrechetPoint> points_;
  Tensor rows_;  // (K, D): the first kept_ are filled
  int64_t kept_ = 0;
};

// A pass over a whole split.
FeatureSummary summarise(const FeatureSpace& space, const Split& images, const Shape& image_shape,
                         std::shared_ptr<const FrechetReference> reference = nullptr);

// NumPy archives of reference statistics, as pytorch-fid, EDM and guided-diffusion exchange them:
// "mu" (D) and "sigma" (D, D), "mu_s" and "sigma_s" the same of spatial features. Ours add "count",
// "features" (the rows) and "space" (a name, as bytes), so that other metrics and a check of the
// space need nothing else. `space_id` is what two summaries must agree in to be compared.
std::string space_id(const FeatureSpace& space);
void write_statistics(const std::string& path, const FeatureSummary& summary,
                      const FeatureSpace& space);
// Throws a UserError when the statistics are not of this space, as far as the file tells.
FeatureSummary read_statistics(const std::string& path, const FeatureSpace& space);

}  // namespace ddpm
