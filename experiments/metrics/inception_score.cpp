#include "experiments/metrics/inception_score.h"

#include <algorithm>
#include <cmath>

#include "framework/core/check.h"

namespace ddpm {

InceptionScore::InceptionScore(int64_t count, int64_t classes, int64_t splits)
    : count_(count),
      classes_(classes),
      splits_(splits),
      probabilities_(static_cast<size_t>(splits * classes)),
      negentropies_(static_cast<size_t>(splits)) {
  DDPM_CHECK(count >= splits, "the Inception Score is a mean over {} splits: {} images are too few",
             splits, count);
}

void InceptionScore::add(const Tensor& logits) {
  DDPM_ASSERT(logits.shape().rank() == 2 && logits.shape()[1] == classes_, "logits {}",
              logits.shape());
  std::vector<double> exponentials(static_cast<size_t>(classes_));
  for (int64_t i = 0; i < logits.shape()[0]; ++i, ++seen_) {
    const float* row = logits.data<float>() + i * classes_;
    const double top = *std::max_element(row, row + classes_);
    double sum = 0;
    for (int64_t k = 0; k < classes_; ++k)
      sum += exponentials[static_cast<size_t>(k)] = std::exp(row[k] - top);
    // The last split that begins at or before this image.
    const int64_t split = ((seen_ + 1) * splits_ - 1) / count_;
    double* p = probabilities_.data() + split * classes_;
    double mean = 0;  // of the logits, under p(y|x)
    for (int64_t k = 0; k < classes_; ++k) {
      const double probability = exponentials[static_cast<size_t>(k)] / sum;
      p[k] += probability;
      mean += probability * (row[k] - top);
    }
    negentropies_[static_cast<size_t>(split)] += mean - std::log(sum);
  }
}

InceptionScore::Result InceptionScore::result() const {
  DDPM_ASSERT(seen_ == count_, "{} of {} images", seen_, count_);
  std::vector<double> scores;
  for (int64_t s = 0; s < splits_; ++s) {
    const double n = static_cast<double>(count_ * (s + 1) / splits_ - count_ * s / splits_);
    double divergence = negentropies_[static_cast<size_t>(s)] / n;
    for (int64_t k = 0; k < classes_; ++k) {
      const double p = probabilities_[static_cast<size_t>(s * classes_ + k)] / n;
      if (p > 0) divergence -= p * std::log(p);
    }
    scores.push_back(std::exp(divergence));
  }
  Result result;
  for (const double score : scores) result.mean += score / static_cast<double>(splits_);
  double variance = 0;
  for (const double score : scores)
    variance += std::pow(score - result.mean, 2) / static_cast<double>(splits_);
  result.std = std::sqrt(variance);
  return result;
}

std::vector<double> InceptionScore::state() const {
  std::vector<double> state = {static_cast<double>(seen_)};
  state.insert(state.end(), probabilities_.begin(), probabilities_.end());
  state.insert(state.end(), negentropies_.begin(), negentropies_.end());
  return state;
}

void InceptionScore::restore(std::span<const double> state) {
  DDPM_CHECK(state.size() == 1 + probabilities_.size() + negentropies_.size() && state[0] >= 0 &&
                 state[0] <= static_cast<double>(count_),
             "not the state of an Inception Score of {} images", count_);
  seen_ = static_cast<int64_t>(state[0]);
  std::copy_n(state.data() + 1, probabilities_.size(), probabilities_.begin());
  std::copy_n(state.data() + 1 + probabilities_.size(), negentropies_.size(),
              negentropies_.begin());
}

}  // namespace ddpm
