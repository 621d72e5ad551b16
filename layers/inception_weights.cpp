#include "layers/inception_weights.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "framework/config/suggest.h"
#include "framework/core/check.h"

namespace ddpm {
namespace {

constexpr double kEpsilon = 1e-3;  // of TensorFlow's batch norm

std::string list(const std::vector<int64_t>& extents) {
  return fmt::format("({})", fmt::join(extents, ", "));
}

// Hands out tensors by name and remembers which.
class Reader {
 public:
  Reader(const NamedWeights& weights, const std::string& source)
      : weights_(weights), source_(source) {}

  const std::vector<float>& take(const std::string& name, const std::vector<int64_t>& shape) {
    const auto found = weights_.find(name);
    if (found == weights_.end()) {
      std::vector<std::string> names;
      for (const auto& [known, weight] : weights_) names.push_back(known);
      fail_user("{}: has no tensor '{}', which Inception-v3 needs.{}", source_, name,
                did_you_mean(name, names));
    }
    DDPM_CHECK(found->second.shape == shape,
               "{}: tensor '{}' is {}, the Inception-v3 of the FID has {}", source_, name,
               list(found->second.shape), list(shape));
    taken_.insert(name);
    return found->second.values;
  }

  // What inference does not need is no sign of another network.
  void finish() const {
    for (const auto& [name, weight] : weights_)
      DDPM_CHECK(
          taken_.contains(name) || name == "fc.bias" || name.ends_with(".num_batches_tracked"),
          "{}: tensor '{}' {} is not of the Inception-v3 of the FID", source_, name,
          list(weight.shape));
  }

 private:
  const NamedWeights& weights_;
  const std::string& source_;
  std::set<std::string> taken_;
};

// y = gamma (conv(x) - mean) / sqrt(variance + epsilon) + beta as a convolution with a bias.
struct FoldedConv {
  std::vector<float> weight, bias;  // (K, R, S, C), (K)

  FoldedConv(Reader& reader, const std::string& module, const Shape& krsc)
      : weight(static_cast<size_t>(krsc.numel())), bias(static_cast<size_t>(krsc[0])) {
    const int64_t outs = krsc[0], taps = krsc[1] * krsc[2], ins = krsc[3];
    const std::vector<float>& kernel =
        reader.take(module + ".conv.weight", {outs, ins, krsc[1], krsc[2]});
    const auto norm = [&](const char* part) -> const std::vector<float>& {
      return reader.take(module + ".bn." + part, {outs});
    };
    const auto &gamma = norm("weight"), &beta = norm("bias");
    const auto &mean = norm("running_mean"), &variance = norm("running_var");
    for (int64_t k = 0; k < outs; ++k) {
      const size_t o = static_cast<size_t>(k);
      const double scale = gamma[o] / std::sqrt(variance[o] + kEpsilon);
      bias[o] = static_cast<float>(beta[o] - mean[o] * scale);
      for (int64_t tap = 0; tap < taps; ++tap)
        for (int64_t c = 0; c < ins; ++c)
          weight[static_cast<size_t>((k * taps + tap) * ins + c)] =
              static_cast<float>(scale * kernel[static_cast<size_t>((k * ins + c) * taps + tap)]);
    }
  }
};

}  // namespace

void fold_inception_weights(const NamedWeights& weights, const std::string& source,
                            Parameters& parameters) {
  Reader reader(weights, source);
  std::optional<FoldedConv> conv;
  for (const Parameters::Slot& slot : parameters.slots()) {
    std::string module = slot.path.substr(0, slot.path.rfind('/'));
    std::replace(module.begin(), module.end(), '/', '.');
    Tensor to = Parameters::part(parameters.master, slot);
    if (slot.shape.rank() == 4) {
      conv.emplace(reader, module, slot.shape);
      to.copy_from_host(conv->weight.data());
    } else if (slot.shape.rank() == 2) {
      to.copy_from_host(reader.take(module + ".weight", {slot.shape[0], slot.shape[1]}).data());
    } else {
      to.copy_from_host(conv->bias.data());  // it follows its kernel
    }
  }
  reader.finish();
  parameters.use_master();
}

}  // namespace ddpm
