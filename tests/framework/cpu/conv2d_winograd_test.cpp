// Winograd's convolutions on shapes that reach every way through conv2d_winograd_*.h: images of one
// tile and of many, tiles that reach beyond the image, blocks and steps, one panel and several,
// both weight gradients. The functions are called directly: which problems the table gives to them
// is a matter of speed. The reference computes in f64 from the same values.
#include "framework/cpu/conv2d_winograd.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "framework/core/pool.h"
#include "framework/cpu/conv2d_direct.h"
#include "framework/cpu/conv2d_tap_gemm.h"
#include "framework/cpu/parallel.h"
#include "framework/ops/conv2d_problem.h"
#include "framework/ops/elementwise.h"
#include "framework/random/random.h"

#if defined(__x86_64__)

namespace ddpm {
namespace {

struct Layer {
  int64_t images, height, width, in_channels, out_channels;
  int pad_top = 1, pad_left = 1, pad_bottom = 1, pad_right = 1;
};

constexpr Layer kLayers[] = {
    {1, 1, 1, 3, 5},
    {2, 5, 7, 17, 3},
    {3, 9, 4, 67, 16},
    {1, 7, 33, 33, 70},
    {5, 4, 4, 128, 64},
    {2, 33, 9, 16, 16},
    {3, 6, 7, 20, 37, 0, 0, 0, 0},
    {2, 5, 9, 19, 21, 2, 2, 2, 2},
    {2, 8, 5, 24, 40, 0, 1, 2, 0},
    {7, 33, 33, 19, 21},  // 567 tiles: blocks and shares
    {2, 9, 8, 64, 130},
    {5, 25, 27, 128, 256},  // the weight gradient of points, in two chunks
};

Tensor normal(Shape shape, uint32_t site) {
  Tensor t = Tensor::empty(shape, DType::kF32, Device::kCpu);
  fill_normal({1, site, random_counter(0, 0, Device::kCpu)}, t);
  return t;
}

Conv2dOperands make_operands(const Layer& l) {
  const Shape y{l.images, l.height + l.pad_top + l.pad_bottom - 2,
                l.width + l.pad_left + l.pad_right - 2, l.out_channels};
  return {normal({l.images, l.height, l.width, l.in_channels}, 1),
          normal({l.out_channels, 3, 3, l.in_channels}, 2),
          normal({l.out_channels}, 3),
          normal(y, 4),
          normal({l.images, l.out_channels}, 5),
          normal(y, 6)};
}

Conv2dOperands widened(const Conv2dOperands& o) {
  const auto wide = [](const Tensor& t) { return cast(t, DType::kF64); };
  return {wide(o.x), wide(o.weight), wide(o.bias), wide(o.y), wide(o.per_sample), wide(o.residual)};
}

Conv2dProblem problem_of(const Layer& l, const Conv2dOperands& o) {
  return conv2d_problem(o.x, o.weight, o.y, {1, l.pad_top, l.pad_left, l.pad_bottom, l.pad_right});
}

std::string name_of(const Layer& l) {
  return fmt::format("{} images {} x {}, {} -> {}", l.images, l.height, l.width, l.in_channels,
                     l.out_channels);
}

using PassFunction = void (*)(const Conv2dProblem&, const Conv2dOperands&);

// Runs the pass on its own result tensor, which replaces the operand of that name and holds NaN
// before.
Tensor run_pass(Conv2dPass pass, const Layer& layer, Conv2dOperands o, PassFunction run) {
  Tensor& result = pass == Conv2dPass::kForward        ? o.y
                   : pass == Conv2dPass::kBackwardData ? o.x
                                                       : o.weight;
  result = Tensor::like(result);
  if (result.dtype() == DType::kF32)
    std::fill_n(result.data<float>(), result.numel(), std::numeric_limits<float>::quiet_NaN());
  if (pass != Conv2dPass::kForward) o.per_sample = o.residual = {};
  if (pass == Conv2dPass::kBackwardWeight) o.bias = {};
  if (pass == Conv2dPass::kBackwardData)
    o.bias = o.bias.dtype() == DType::kF32 ? normal({layer.in_channels}, 7)
                                           : cast(normal({layer.in_channels}, 7), DType::kF64);
  run(problem_of(layer, o), o);
  return result;
}

// The largest error, relative to the largest element.
double relative_error(const Tensor& actual, const Tensor& expected) {
  const auto a = actual.to_host<float>();
  const auto e = expected.to_host<double>();
  double error = 0, largest = 0;
  for (size_t i = 0; i < e.size(); ++i) {
    if (std::isnan(a[i])) return std::numeric_limits<double>::infinity();
    error = std::max(error, std::abs(a[i] - e[i]));
    largest = std::max(largest, std::abs(e[i]));
  }
  return error / largest;
}

struct Algorithm {
  const char* name;
  bool (*supports)(const Conv2dProblem&);
  PassFunction passes[3], direct_forward;  // in the order of kConv2dPasses
};
constexpr Algorithm kAlgorithms[] = {
    {"avx512",
     cpu::winograd_avx512_supports,
     {cpu::winograd_avx512_forward, cpu::winograd_avx512_backward_data,
      cpu::winograd_avx512_backward_weight},
     cpu::direct_avx512_forward},
    {"avx2",
     cpu::winograd_avx2_supports,
     {cpu::winograd_avx2_forward, cpu::winograd_avx2_backward_data,
      cpu::winograd_avx2_backward_weight},
     cpu::direct_avx2_forward},
};
constexpr PassFunction kReferences[] = {cpu::tap_gemm_forward, cpu::tap_gemm_backward_data,
                                        cpu::tap_gemm_backward_weight};

constexpr Conv2dProblem kTypical{.images = 8,
                                 .in_height = 32,
                                 .in_width = 32,
                                 .in_channels = 64,
                                 .out_height = 32,
                                 .out_width = 32,
                                 .out_channels = 64,
                                 .kernel_height = 3,
                                 .kernel_width = 3,
                                 .pad_top = 1,
                                 .pad_left = 1};

class Conv2dWinograd : public ::testing::TestWithParam<Algorithm> {
 protected:
  void SetUp() override {
    if (!GetParam().supports(kTypical)) GTEST_SKIP() << "this processor has no such vectors";
    pool_->use_guards();
  }

 private:
  std::shared_ptr<Pool> pool_ = Pool::create(Device::kCpu);
  PoolScope scope_{pool_};
};

TEST_P(Conv2dWinograd, MatchesF64) {
  for (const Layer& layer : kLayers) {
    const Conv2dOperands operands = make_operands(layer), wide = widened(operands);
    for (Conv2dPass pass : kConv2dPasses) {
      const auto index = static_cast<size_t>(pass);
      const double error = relative_error(run_pass(pass, layer, operands, GetParam().passes[index]),
                                          run_pass(pass, layer, wide, kReferences[index]));
      EXPECT_LE(error, 1e-5) << name_of(pass) << " of " << name_of(layer);
    }
  }
}

TEST_P(Conv2dWinograd, SameBitsForAnyThreadCount) {
  const int before = cpu::thread_count();
  for (const Layer& layer : kLayers) {
    const Conv2dOperands operands = make_operands(layer);
    for (Conv2dPass pass : kConv2dPasses) {
      const PassFunction run = GetParam().passes[static_cast<size_t>(pass)];
      cpu::set_thread_count(1);
      const auto one = run_pass(pass, layer, operands, run).to_host<float>();
      for (int threads : {2, 3, 8}) {
        cpu::set_thread_count(threads);
        EXPECT_EQ(run_pass(pass, layer, operands, run).to_host<float>(), one)
            << name_of(pass) << " of " << name_of(layer) << ", " << threads << " threads";
      }
    }
  }
  cpu::set_thread_count(before);
}

// Where the products are zero, all that is left are the addends, in the order of the direct
// convolution.
TEST_P(Conv2dWinograd, AddendsAreTheDirectConvolutions) {
  for (const Layer& layer : kLayers)
    for (int used = 0; used < 8; ++used) {
      Conv2dOperands operands = make_operands(layer);
      operands.weight = Tensor::zeros(operands.weight.shape(), DType::kF32, Device::kCpu);
      if (!(used & 1)) operands.bias = {};
      if (!(used & 2)) operands.per_sample = {};
      if (!(used & 4)) operands.residual = {};
      const auto run = [&](PassFunction forward) {
        return run_pass(Conv2dPass::kForward, layer, operands, forward).to_host<float>();
      };
      EXPECT_EQ(run(GetParam().passes[0]), run(GetParam().direct_forward))
          << name_of(layer) << ", addends " << used;
    }
}

// Padding and what lies beside a tile in memory must not leak into it.
TEST_P(Conv2dWinograd, ANonFinitePixelStaysInItsTiles) {
  for (const Layer& layer : {kLayers[4], kLayers[9]}) {
    Conv2dOperands operands = make_operands(layer);
    operands.x.data<float>()[operands.x.numel() - 1] = std::numeric_limits<float>::infinity();
    const auto y =
        run_pass(Conv2dPass::kForward, layer, operands, GetParam().passes[0]).to_host<float>();
    const size_t image = y.size() / static_cast<size_t>(layer.images);
    for (size_t i = 0; i < y.size() - image; ++i) ASSERT_TRUE(std::isfinite(y[i])) << i;
  }
}

TEST_P(Conv2dWinograd, NoImagesLeaveNoGradient) {
  const Layer layer{0, 8, 8, 16, 16};
  const Tensor dweight =
      run_pass(Conv2dPass::kBackwardWeight, layer, make_operands(layer), GetParam().passes[2]);
  for (float d : dweight.to_host<float>()) ASSERT_EQ(d, 0);
}

TEST_P(Conv2dWinograd, SupportsOnlyWhatPays) {
  EXPECT_TRUE(GetParam().supports(kTypical));
  const auto refuses = [](auto change) {
    Conv2dProblem p = kTypical;
    change(p);
    return !GetParam().supports(p);
  };
  EXPECT_TRUE(refuses([](auto& p) { p.dtype = DType::kBf16; }));
  EXPECT_TRUE(refuses([](auto& p) { p.dtype = DType::kF64; }));
  EXPECT_TRUE(refuses([](auto& p) { p.kernel_height = 1; }));
  EXPECT_TRUE(refuses([](auto& p) { p.kernel_width = 5; }));
  EXPECT_TRUE(refuses([](auto& p) { p.stride = 2; }));
  EXPECT_TRUE(refuses([](auto& p) { p.in_channels = 3; }));
  EXPECT_TRUE(refuses([](auto& p) { p.out_channels = 3; }));
  // Few tiles, and tiles that are more than half empty.
  EXPECT_TRUE(refuses([](auto& p) { p.in_height = p.out_height = p.in_width = p.out_width = 4; }));
  EXPECT_TRUE(refuses(
      [](auto& p) { p.images = 100, p.in_height = p.out_height = p.in_width = p.out_width = 5; }));
  // The number of images decides nothing: a batch can be split.
  EXPECT_FALSE(refuses([](auto& p) { p.images = 1; }));
}

TEST_P(Conv2dWinograd, IsChosenUnlessItIsSwitchedOff) {
  const auto chosen = [](Conv2dPass pass) {
    for (const Conv2dAlgorithm& algorithm : cpu::conv2d_algorithms(pass))
      if (std::string_view(algorithm.name).starts_with("winograd") && algorithm.supports(kTypical))
        return true;
    return false;
  };
  for (Conv2dPass pass : kConv2dPasses) {
    EXPECT_TRUE(chosen(pass));
    cpu::allow_winograd(false);
    EXPECT_FALSE(chosen(pass));
    const std::string name = cpu::choose_conv2d_algorithm(pass, kTypical).name;
    EXPECT_FALSE(name.starts_with("winograd")) << name;
    cpu::allow_winograd(true);
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, Conv2dWinograd, ::testing::ValuesIn(kAlgorithms),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace ddpm
#endif
