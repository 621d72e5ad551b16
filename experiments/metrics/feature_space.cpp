#include "experiments/metrics/feature_space.h"

namespace ddpm {

ExtractorSpace::ExtractorSpace(std::unique_ptr<FeatureExtractor> extractor, const Dataset& dataset)
    : extractor_(std::move(extractor)) {
  extractor_->check_dataset(dataset);
}

}  // namespace ddpm
