#include "layers/inception_weights.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "framework/config/suggest.h"
#include "framework/core/check.h"

namespace ddpm {
namespace {

constexpr double kEpsilon = 1e-3;  // of TensorFlow's batch norm

// Hands out tensors by name and remembers which.
class Reader {
 public:
  explicit Reader(const NamedTensors& weights) : weights_(weights) {}

  const float* take(const std::string& name, const Shape& shape) {
    if (!weights_.has(name)) {
      std::vector<std::string> names;
      for (const NamedTensor& known : weights_.all()) names.push_back(known.name);
      fail_user("'{}' has no tensor '{}', which the Inception-v3 of the FID needs.{}",
                weights_.source(), name, did_you_mean(name, names));
    }
    taken_.insert(name);
    return weights_.at(name, shape, DType::kF32).data<float>();
  }

  // What inference does not need is no sign of another network.
  void finish() const {
    for (const NamedTensor& given : weights_.all())
      DDPM_CHECK(taken_.contains(given.name) || given.name == "fc.bias" ||
                     given.name.ends_with(".num_batches_tracked"),
                 "'{}': tensor '{}' {} is not of the Inception-v3 of the FID", weights_.source(),
                 given.name, given.values.shape());
  }

 private:
  const NamedTensors& weights_;
  std::set<std::string> taken_;
};

// y = gamma (conv(x) - mean) / sqrt(variance + epsilon) + beta as a convolution with a bias.
struct FoldedConv {
  std::vector<float> weight, bias;  // (K, R, S, C), (K)

  FoldedConv(Reader& reader, const std::string& module, const Shape& krsc)
      : weight(static_cast<size_t>(krsc.numel())), bias(static_cast<size_t>(krsc[0])) {
    const int64_t outs = krsc[0], taps = krsc[1] * krsc[2], ins = krsc[3];
    const float* kernel = reader.take(module + ".conv.weight", {outs, ins, krsc[1], krsc[2]});
    const auto norm = [&](const char* part) { return reader.take(module + ".bn." + part, {outs}); };
    const float *gamma = norm("weight"), *beta = norm("bias");
    const float *mean = norm("running_mean"), *variance = norm("running_var");
    for (int64_t k = 0; k < outs; ++k) {
      const double scale = gamma[k] / std::sqrt(variance[k] + kEpsilon);
      bias[static_cast<size_t>(k)] = static_cast<float>(beta[k] - mean[k] * scale);
      for (int64_t tap = 0; tap < taps; ++tap)
        for (int64_t c = 0; c < ins; ++c)
          weight[static_cast<size_t>((k * taps + tap) * ins + c)] =
              static_cast<float>(scale * kernel[(k * ins + c) * taps + tap]);
    }
  }
};

}  // namespace

void fold_inception_weights(const NamedTensors& weights, Parameters& parameters) {
  Reader reader(weights);
  std::optional<FoldedConv> conv;
  for (const Parameters::Slot& slot : parameters.slots()) {
    std::string module = slot.path.substr(0, slot.path.rfind('/'));
    std::replace(module.begin(), module.end(), '/', '.');
    Tensor to = Parameters::part(parameters.master, slot);
    if (slot.shape.rank() == 4) {
      conv.emplace(reader, module, slot.shape);
      to.copy_from_host(conv->weight.data());
    } else if (slot.shape.rank() == 2) {
      to.copy_from_host(reader.take(module + ".weight", slot.shape));
    } else {
      to.copy_from_host(conv->bias.data());  // it follows its kernel
    }
  }
  reader.finish();
  parameters.use_master();
}

}  // namespace ddpm
