// An archive that NumPy 2.4 and `unzip -t` have read, byte for byte by its digest.
#include "framework/io/npy.h"

#include <gmock/gmock.h>

#include <numeric>

#include "framework/io/file.h"
#include "framework/io/sha256.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

using Npz = testing::TempFolder;

TEST_F(Npz, AsNumPyReadIt) {
  std::vector<uint8_t> samples(2 * 3 * 3 * 1);
  std::iota(samples.begin(), samples.end(), uint8_t{1});
  const std::vector<double> mean = {0.5, -1.5};
  write_npz(path("f.npz"), {{"arr_0", {2, 3, 3, 1}, DType::kU8, std::as_bytes(std::span(samples))},
                            {"mu", {2}, DType::kF64, std::as_bytes(std::span(mean))}});
  const std::string file = read_text_file(path("f.npz"));
  EXPECT_THAT(file, ::testing::HasSubstr(
                        "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 3, 1), }"));
  EXPECT_EQ(sha256_hex(file), "7b5149548f9f5d229661cf963e00a927f64c6d9885ea45cc5dd80782911ae132");
}

TEST_F(Npz, HeadersAreAligned) {
  // Readers that map the file rely on it: the values start at a multiple of 64 after the magic.
  for (int64_t n = 1; n <= 1000000; n *= 10) {
    const std::vector<std::byte> values(static_cast<size_t>(n));
    write_npz(path("f.npz"), {{"a", {n}, DType::kU8, values}});
    const std::string file = read_text_file(path("f.npz"));
    const size_t magic = file.find("\x93NUMPY"), end = file.find(")", magic);
    EXPECT_EQ((file.find('\n', end) + 1 - magic) % 64, 0u) << n;
  }
}

}  // namespace
}  // namespace ddpm
