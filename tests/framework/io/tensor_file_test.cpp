// Hostile files: thousands of damaged copies of small valid files of every format. Each gives a
// valid result or one UserError that names the file; never a crash, a hang or memory without bound.
#include "framework/io/tensor_file.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <zlib.h>

#include <fstream>
#include <random>

#include "framework/io/npy.h"
#include "framework/io/zip.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

std::string golden(const std::string& name) { return std::string(DDPM_TEST_DATA) + "/" + name; }

// The preset asan holds little freed memory back, so that this can be bounded there, too.
size_t peak_memory() {
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

class Damage : public testing::TempFolder {
 protected:
  // Reads the bytes as a file, looking at every value.
  void read(const std::string& bytes) {
    const std::string file = path("f");
    std::ofstream(file, std::ios::binary) << bytes;
    ++count_;
    const std::string error = error_of([&] {
      const NamedTensors tensors = read_tensor_file(file);
      for (const NamedTensor& tensor : tensors.all())
        for (size_t i = 0; i < tensor.values.bytes(); ++i)
          sum_ = sum_ + static_cast<size_t>(tensor.values.raw()[i]);
    });
    if (error == "no error") {
      ++accepted_;
    } else {
      EXPECT_THAT(error, HasSubstr(quoted("f")));
    }
  }

  // Every truncation, every byte with one bit flipped and as 0, 127 and 255, and random changes of
  // several bytes at once. `pack` makes the file of what is damaged.
  template <class Pack>
  void damage_everywhere(const std::string& good, const Pack& pack) {
    const size_t before = peak_memory();
    read(pack(good));
    ASSERT_EQ(accepted_, 1u);
    for (size_t size = 0; size < good.size(); ++size) read(pack(good.substr(0, size)));
    for (size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      for (const int value : {good[i] ^ 1 << (i % 8), 0, 127, 255}) {
        bad[i] = static_cast<char>(value);
        read(pack(bad));
      }
    }
    std::mt19937 random(static_cast<uint32_t>(good.size()));
    for (int n = 0; n < 2000; ++n) {
      std::string bad = good;
      for (uint32_t k = 1 + random() % 4; k > 0; --k) {
        // Numbers of one to eight bytes at their extremes are what sizes and offsets fear.
        const size_t bytes = size_t{1} << (random() % 4), at = random() % bad.size();
        const uint32_t kind = random() % 4;  // all ones, zero, the largest signed, anything
        for (size_t i = at; i < std::min(at + bytes, bad.size()); ++i) {
          const int values[] = {0xff, 0, i + 1 == at + bytes ? 0x7f : 0xff,
                                static_cast<int>(random() % 256)};
          bad[i] = static_cast<char>(values[kind]);
        }
      }
      read(pack(bad));
    }
    EXPECT_GT(count_, 2000u);
    EXPECT_LT(accepted_, count_);
    EXPECT_LT(peak_memory() - before, size_t{64} << 20);
  }
  void damage_everywhere(const std::string& good) {
    damage_everywhere(good, [](const std::string& bytes) { return bytes; });
  }

  size_t count_ = 0, accepted_ = 0;
  volatile size_t sum_ = 0;
};

TEST_F(Damage, Safetensors) { damage_everywhere(read_text_file(golden("tensors.safetensors"))); }
TEST_F(Damage, TorchZip) { damage_everywhere(read_text_file(golden("tensors_zip.pth"))); }
TEST_F(Damage, TorchLegacy) { damage_everywhere(read_text_file(golden("tensors_legacy.pth"))); }
TEST_F(Damage, NpzStored) { damage_everywhere(read_text_file(golden("arrays_stored.npz"))); }
TEST_F(Damage, NpzDeflated) { damage_everywhere(read_text_file(golden("arrays_deflated.npz"))); }

// A damaged pickle under a checksum that fits it, as an attacker would write it.
TEST_F(Damage, PickleInAnIntactArchive) {
  for (const std::string name : {"tensors_zip", "tensors_nested"}) {
    const std::string file = read_text_file(golden(name + ".pth"));
    const ZipReader archive(golden(name + ".pth"));
    const ZipMember& member = *archive.find(name + "/data.pkl");
    const std::vector<std::byte> bytes = archive.read(member, 100000);
    const std::string pickle(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto checksum_of = [](const std::string& text) {
      const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(text.data()), text.size());
      return std::string(reinterpret_cast<const char*>(&crc), 4);
    };
    const size_t at = file.find(pickle), central = file.rfind(checksum_of(pickle));
    ASSERT_TRUE(at != std::string::npos && central != std::string::npos && central > at);
    accepted_ = 0;
    damage_everywhere(pickle, [&](std::string bad) {
      bad.resize(pickle.size(), '\0');
      const std::string checksum = checksum_of(bad);
      return std::string(file).replace(at, bad.size(), bad).replace(central, 4, checksum);
    });
  }
}

TEST_F(Damage, Npy) {
  const std::vector<double> values = {1, 2, 3, 4, 5, 6};
  write_npy(path("good"), {3, 2}, DType::kF64, std::as_bytes(std::span(values)));
  damage_everywhere(read_text_file(path("good")));
}

TEST(TensorFile, KindsAreToldApartByTheirContent) {
  EXPECT_TRUE(read_tensor_file(golden("tensors_zip.pth")).has("conv.weight"));
  EXPECT_TRUE(read_tensor_file(golden("tensors_legacy.pth")).has("conv.weight"));
  EXPECT_TRUE(read_tensor_file(golden("tensors.safetensors")).has("conv.weight"));
  EXPECT_TRUE(read_tensor_file(golden("arrays_deflated.npz")).has("sigma"));
  EXPECT_THAT(error_of([] { read_tensor_file(golden("unet.h5")); }),
              HasSubstr("is none of the files of tensors that are read: safetensors, "));
}

}  // namespace
}  // namespace ddpm
