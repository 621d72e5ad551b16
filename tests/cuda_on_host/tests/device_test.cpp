// Why a GPU cannot be used, each reason in its own words, and how memory runs out.
#include "tests/cuda_on_host/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "framework/core/memory.h"

namespace ddpm::testing {
namespace {

using cuda_on_host::DeviceScope;
using ::testing::HasSubstr;

std::string reason_on(const cuda_on_host::Device& device) {
  const DeviceScope scope(device);
  EXPECT_FALSE(memory::is_available(Device::kCuda));
  return memory::unavailable_reason(Device::kCuda);
}

TEST(CudaDevice, IsDescribed) {
  EXPECT_EQ(memory::unavailable_reason(Device::kCuda), "");
  EXPECT_TRUE(memory::is_available(Device::kCuda));
  const memory::GpuInfo gpu = memory::gpu_info();
  EXPECT_EQ(gpu.name, cuda_on_host::kDeviceName);
  EXPECT_EQ(gpu.capability, 90);
  EXPECT_EQ(gpu.memory_bytes, size_t{1} << 40);
  EXPECT_EQ(gpu.driver_version, 13000);
}

TEST(CudaDevice, EveryReasonHasItsOwnWords) {
  EXPECT_EQ(reason_on({.driver_version = 0}), "no NVIDIA driver is installed");
  EXPECT_EQ(reason_on({.driver_version = 12040}),
            "the NVIDIA driver is too old: it supports CUDA 12.4, this program needs 13.0");
  EXPECT_EQ(reason_on({.count = 0}), "there is no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it");
  EXPECT_THAT(reason_on({.capability = 61}),
              HasSubstr("has compute capability 6.1, this program needs 7.5 or later"));
  EXPECT_THAT(reason_on({.capability = 86, .runs_this_build = false}),
              HasSubstr("capability 8.6, for which this program holds no code: build it with "
                        "-DCMAKE_CUDA_ARCHITECTURES=86"));
  EXPECT_TRUE(memory::is_available(Device::kCuda)) << "the scopes put everything back";
}

TEST(CudaDevice, MemoryRunsOutInWords) {
  const size_t used = cuda_on_host::bytes_allocated();
  const DeviceScope scope({.memory_bytes = used + (3 << 20)});
  std::byte* fits = memory::allocate(Device::kCuda, 3 << 18);
  try {
    memory::allocate(Device::kCuda, 5 << 20);
    FAIL() << "5 MiB of 2.25 were allocated";
  } catch (const memory::OutOfMemory& error) {
    EXPECT_THAT(error.what(), HasSubstr("out of device memory: 5 MiB were asked for, 2.25 MiB of"));
  }
  memory::release(Device::kCuda, fits);
  EXPECT_EQ(cuda_on_host::bytes_allocated(), used);
}

}  // namespace
}  // namespace ddpm::testing
