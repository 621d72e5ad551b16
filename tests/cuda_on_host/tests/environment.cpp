// Every test of this program runs with fences behind its device tensors, and the program ends by
// saying how many ops ran on the kernels.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string_view>

#include "framework/core/pool.h"

namespace ddpm::testing {
namespace {

class Environment : public ::testing::Environment {
 public:
  void SetUp() override { current_pool(Device::kCuda)->use_guards(); }

  void TearDown() override {
    int compared = 0;
    const ::testing::UnitTest& program = *::testing::UnitTest::GetInstance();
    for (int s = 0; s < program.total_test_suite_count(); ++s) {
      const ::testing::TestSuite& suite = *program.GetTestSuite(s);
      for (int t = 0; t < suite.total_test_count(); ++t) {
        const ::testing::TestInfo& test = *suite.GetTestInfo(t);
        if (std::string_view(test.name()).starts_with("CudaMatchesCpu") && test.should_run() &&
            test.result()->Passed())
          ++compared;
      }
    }
    fmt::print("{} op cases gave on the CUDA kernels what they give on the CPU\n", compared);
  }
};

const ::testing::Environment* const environment =
    ::testing::AddGlobalTestEnvironment(new Environment);

}  // namespace
}  // namespace ddpm::testing
