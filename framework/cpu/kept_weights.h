// What kernels make of weights (another layout, a transform) for their own use: made anew in every
// call where training may change the weights, else kept with the tensor.
#pragma once

#include <any>
#include <utility>

#include "framework/core/tensor.h"

namespace ddpm::cpu {

// make(), or what it returned in the last call with this tensor, if that was for the same key. On a
// GPU nothing is kept: a CUDA graph must read the weights anew in every replay.
template <class Key, class Make>
auto kept_weights(const Tensor& weight, const Key& key, Make make) {
  using Value = decltype(make());
  using Kept = std::pair<Key, Value>;
  if (weight.requires_grad() || weight.device() != Device::kCpu) return make();
  std::any& prepared = weight.slot()->prepared;
  const auto* kept = std::any_cast<Kept>(&prepared);
  if (kept && kept->first == key) return kept->second;
  Value made = make();
  prepared = Kept{key, made};
  return made;
}

}  // namespace ddpm::cpu
