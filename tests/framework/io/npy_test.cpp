// NumPy's arrays: an archive that NumPy 2.4 and `unzip -t` have read, byte for byte by its digest;
// archives that NumPy wrote (tests/golden/make_tensor_files.py); headers of every kind.
#include "framework/io/npy.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

#include "framework/io/file.h"
#include "framework/io/sha256.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using Npz = testing::TempFolder;

TEST_F(Npz, AsNumPyReadIt) {
  std::vector<uint8_t> samples(2 * 3 * 3 * 1);
  std::iota(samples.begin(), samples.end(), uint8_t{1});
  const std::vector<double> mean = {0.5, -1.5};
  write_npz(path("f.npz"), {{"arr_0", {2, 3, 3, 1}, DType::kU8, std::as_bytes(std::span(samples))},
                            {"mu", {2}, DType::kF64, std::as_bytes(std::span(mean))}});
  const std::string file = read_text_file(path("f.npz"));
  EXPECT_THAT(file, HasSubstr("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 3, 1), }"));
  EXPECT_EQ(sha256_hex(file), "7b5149548f9f5d229661cf963e00a927f64c6d9885ea45cc5dd80782911ae132");

  NpzWriter pieces(path("pieces.npz"));
  pieces.begin("arr_0", {2, 3, 3, 1}, DType::kU8);
  for (size_t i = 0; i < 18; i += 9) pieces.append(std::as_bytes(std::span(samples).subspan(i, 9)));
  pieces.begin("mu", {2}, DType::kF64);
  pieces.append(std::as_bytes(std::span(mean)));
  pieces.commit();
  EXPECT_EQ(read_text_file(path("pieces.npz")), file);
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

std::vector<double> eighths(int n) {
  std::vector<double> values(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i) values[static_cast<size_t>(i)] = i / 8.0;
  return values;
}

TEST(NpzOfNumPy, StoredAndDeflatedInEitherOrder) {
  for (const char* name : {"/arrays_stored.npz", "/arrays_deflated.npz"}) {
    const NamedTensors arrays = read_npz(std::string(DDPM_TEST_DATA) + name);
    EXPECT_EQ(arrays.all().size(), 8u);
    EXPECT_THAT(arrays.at("mu", {2}, DType::kF64).to_host<double>(), ElementsAre(0.5, -1.5));
    // In Fortran order in the file.
    EXPECT_EQ(arrays.at("sigma", {3, 4}, DType::kF64).to_host<double>(), eighths(12));
    EXPECT_EQ(arrays.at("cube", {2, 3, 4}, DType::kF64).to_host<double>(), eighths(24));
    EXPECT_THAT(arrays.at("arr_0", {3, 4}, DType::kU8).to_host<uint8_t>(),
                ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
    EXPECT_THAT(arrays.at("f32", {1, 1}, DType::kF32).to_host<float>(), ElementsAre(0.1f));
    EXPECT_THAT(arrays.at("i64", {}, DType::kI64).to_host<int64_t>(), ElementsAre(-5));
    EXPECT_THAT(arrays.at("f16", {2}, DType::kF32).to_host<float>(),
                ElementsAre(1.5f, std::ldexp(1.0f, -24)));
    EXPECT_EQ(arrays.at("none").shape(), Shape({0, 3}));
  }
}

TEST_F(Npz, NpyRoundTrip) {
  const std::vector<int64_t> values = {1, -2, 3, 4, 5, 6};
  write_npy(path("f.npy"), {2, 3}, DType::kI64, std::as_bytes(std::span(values)));
  EXPECT_EQ(read_npy(path("f.npy")).at("", {2, 3}, DType::kI64).to_host<int64_t>(), values);
}

// A .npy of version 1 with this header and eight bytes of values.
std::string npy(const std::string& header) {
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size());
  file += static_cast<char>(header.size() >> 8);
  return file + header + std::string(8, '\x01');
}

TEST_F(Npz, HeadersAsOthersWriteThem) {
  for (const char* header : {
           "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }",
           "{\"shape\":(1,1),\"fortran_order\":True,\"descr\":\"<f8\"}  \n",
           "{'descr': '<f8', 'fortran_order': False, 'shape': (1L,)}",
           "{'descr': '<f8', 'fortran_order': False, 'shape': ()}",
       }) {
    write_file_atomically(path("f.npy"), npy(header));
    EXPECT_EQ(read_npy(path("f.npy")).at("").numel(), 1) << header;
  }
}

TEST_F(Npz, WhatIsNoPlainArrayIsNamed) {
  const std::pair<const char*, const char*> kCases[] = {
      {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "elements of type '|O'"},
      {"{'descr': '>f8', 'fortran_order': False, 'shape': (1,)}", "elements of type '>f8'"},
      {"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}", "at: [('a'"},
      {"{'descr': '<f8', 'fortran_order': 1, 'shape': (1,)}", "at: 1, 'shape'"},
      {"{'descr': '<f8', 'shape': (1,)}", "at: its end"},
      {"{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (1,)}",
       "at:  '<f8', 'fortran"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} x", "at: x"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,", "at: its end"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", "needs more than the 8 bytes"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "has 8 bytes of values instead"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", "negative extent -1"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,1,1,1,1)}", "has 5 extents"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296,4294967296)}", "needs more"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}", "at: 9999"},
      {"", "at: its end"},
  };
  for (const auto& [header, message] : kCases) {
    write_file_atomically(path("f.npy"), npy(header));
    const std::string error = error_of([&] { read_npy(path("f.npy")); });
    EXPECT_THAT(error, HasSubstr(message)) << header;
    EXPECT_THAT(error, HasSubstr(quoted("f.npy"))) << header;
  }
  write_file_atomically(path("f.npy"), "\x93NUMPY\x09");
  EXPECT_THAT(error_of([&] { read_npy(path("f.npy")); }), HasSubstr("truncated"));
}

}  // namespace
}  // namespace ddpm
