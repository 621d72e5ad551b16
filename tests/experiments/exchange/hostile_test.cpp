// Damaged and lying files of diffusers: one UserError that names the file, or a network; never a
// crash, nor memory beyond the size of the files. (tests/framework/io/tensor_file_test.cpp damages
// every byte of every format of weights.)
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "experiments/exchange/diffusers_config.h"
#include "experiments/exchange/diffusers_weights.h"
#include "framework/io/file.h"
#include "framework/io/tensor_file.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

std::string golden(const std::string& name) { return DDPM_TEST_DATA "/unet2d/" + name; }

class HostileDiffusers : public testing::TempFolder {
 protected:
  HostileDiffusers() : before_(peak_memory()) {}
  ~HostileDiffusers() override { EXPECT_LT(peak_memory() - before_, size_t{64} << 20); }

  // The preset asan holds little freed memory back, so that this can be bounded there, too.
  static size_t peak_memory() {
    rusage usage;
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<size_t>(usage.ru_maxrss) * 1024;
  }
  std::string write(const std::string& name, const std::string& bytes) {
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }
  // What import does before it allocates weights.
  static void plan(const std::string& config, const std::string& weights) {
    const Unet2dModel model = read_unet2d_config(config);
    Parameters parameters;
    model.options.build(Scope(parameters), model.image);
    const NamedTensors file = read_tensor_file(weights);
    find_diffusers(file, diffusers_prefix(file), parameters,
                   static_cast<int64_t>(model.options.channel_multipliers.size()));
  }

 private:
  size_t before_;
};

TEST_F(HostileDiffusers, DamagedConfigurations) {
  const std::string good = read_text_file(golden("config.json"));
  const std::string weights = golden("diffusion_pytorch_model.safetensors");
  size_t accepted = 0, refused = 0;
  const auto read = [&](const std::string& bytes) {
    const std::string file = write("config.json", bytes);
    const std::string error = error_of([&] { plan(file, weights); });
    const bool named = error.find(file) != std::string::npos ||
                       error.find(weights) != std::string::npos || error.starts_with("model: ");
    EXPECT_TRUE(error == "no error" || named) << error;
    ++(error == "no error" ? accepted : refused);
  };
  read(good);
  ASSERT_EQ(accepted, 1u);
  for (size_t size = 0; size < good.size(); ++size) read(good.substr(0, size));
  for (size_t i = 0; i < good.size(); ++i)
    for (const int value : {good[i] ^ 1 << (i % 8), 0, 127, 255, int{'9'}, int{'['}, int{'-'}}) {
      std::string bad = good;
      bad[i] = static_cast<char>(value);
      read(bad);
    }
  EXPECT_GT(refused, good.size());
}

TEST_F(HostileDiffusers, DamagedWeights) {
  for (const char* name : {"diffusion_pytorch_model.safetensors", "legacy.bin"}) {
    const std::string good = read_text_file(golden(name));
    std::mt19937 random(7);
    for (int n = 0; n < 200; ++n) {
      std::string bad = good;
      if (n % 4 == 0) bad.resize(random() % bad.size());
      for (int flips = 0; flips < 3 && !bad.empty(); ++flips) {
        // Half of them where the names and shapes are.
        const size_t range = n % 2 ? std::min<size_t>(bad.size(), 12000) : bad.size();
        bad[random() % range] ^= static_cast<char>(1 << (random() % 8));
      }
      const std::string file = write("weights", bad);
      const std::string error = error_of([&] { plan(golden("config.json"), file); });
      EXPECT_TRUE(error == "no error" || error.find(file) != std::string::npos) << error;
    }
  }
}

TEST_F(HostileDiffusers, AHugeNetworkIsComparedBeforeItIsAllocated) {
  nlohmann::json config = nlohmann::json::parse(read_text_file(golden("config.json")));
  config["block_out_channels"] = {4096, 4096 * 64, 4096 * 64};  // petabytes
  config["layers_per_block"] = 32;
  config["attention_head_dim"] = nullptr;
  const std::string file = write("config.json", config.dump());
  EXPECT_THAT(error_of([&] { plan(file, golden("diffusion_pytorch_model.safetensors")); }),
              HasSubstr("'time_embedding.linear_1.weight' has shape (16, 4), this network's "
                        "'time_embedding/dense_0/weight' needs (16384, 4096)"));
}

}  // namespace
}  // namespace ddpm
