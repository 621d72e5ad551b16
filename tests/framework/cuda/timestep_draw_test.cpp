// The timesteps that the CUDA backend draws for a batch are the CPU's, to the last bit.
#include "framework/ops/timestep_draw.h"

#include <gtest/gtest.h>

#include "framework/random/random.h"
#include "tests/framework/cuda/cuda_tests.h"

namespace ddpm::testing {
namespace {

using CudaTimestepDraw = Cuda;

struct Drawn {
  std::vector<int32_t> t;
  std::vector<float> weights;
  bool operator==(const Drawn&) const = default;
};

Tensor uniform(int64_t step, int64_t rows, DType dtype, Device device) {
  Tensor u = Tensor::empty({rows}, dtype, device);
  fill_uniform({5, random_site("u"), random_counter(step, 0, device)}, 0, 1, u);
  return u;
}

TEST_F(CudaTimestepDraw, StrataAndPairsAreThoseOfTheCpu) {
  for (const int64_t rows : {1, 2, 37, 300}) {
    const auto draw = [&](Device device, bool mirrored) {
      Tensor t = Tensor::empty({rows}, DType::kI32, device);
      stratify_timesteps(uniform(0, rows, DType::kF64, device), 1000, t);
      if (mirrored) mirror_timesteps(1000, t);
      return t.to_host<int32_t>();
    };
    for (const bool mirrored : {false, true})
      EXPECT_EQ(draw(Device::kCuda, mirrored), draw(Device::kCpu, mirrored)) << rows;
  }
}

TEST_F(CudaTimestepDraw, HistoriesLearnAndDrawAlike) {
  constexpr int64_t kTimesteps = 40, kRows = 300;
  const auto learn = [&](Device device) {
    LossHistory history(kTimesteps, 10, device);
    std::vector<Drawn> draws;
    for (int64_t step = 0; step < 6; ++step) {  // before and after the histories are whole
      Tensor t = Tensor::empty({kRows}, DType::kI32, device);
      Tensor weights = Tensor::empty({kRows}, DType::kF32, device);
      draw_by_second_moment(history, 0.01, uniform(step, kRows, DType::kF64, device), t, weights);
      draws.push_back({t.to_host<int32_t>(), weights.to_host<float>()});
      record_losses(t, uniform(100 + step, kRows, DType::kF32, device), history);
    }
    draws.push_back({history.counts.to_host<int32_t>(), history.losses.to_host<float>()});
    return draws;
  };
  const std::vector<Drawn> expected = learn(Device::kCpu);
  ASSERT_EQ(expected[0].weights, std::vector<float>(kRows, 1));
  ASSERT_NE(expected[5].weights, std::vector<float>(kRows, 1));
  EXPECT_EQ(learn(Device::kCuda), expected);
}

}  // namespace
}  // namespace ddpm::testing
