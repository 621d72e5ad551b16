// Tests of the CUDA backend need a device: on the host there is one, elsewhere perhaps.
#pragma once

#include <gtest/gtest.h>

#include "framework/core/memory.h"

namespace ddpm::testing {

class Cuda : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!memory::is_available(Device::kCuda)) GTEST_SKIP() << "no CUDA device";
  }
};

}  // namespace ddpm::testing
