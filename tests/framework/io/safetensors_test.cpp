// safetensors: what the library wrote is read, what is written the library has read (its digest),
// and every breach of the format is named.
#include "framework/io/safetensors.h"

#include <gmock/gmock.h>

#include <cstring>

#include "framework/io/file.h"
#include "framework/io/sha256.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using Safetensors = testing::TempFolder;

template <class T>
NamedTensor named(const std::string& name, const std::vector<T>& values, const Shape& shape) {
  return {name, Tensor::from_host(values, shape, Device::kCpu)};
}

std::vector<NamedTensor> sample() {
  return {named<uint8_t>("bytes", {1, 2, 255}, {3}),
          named<float>("b.weight", {0.5f, -0.0f, 1e-40f, 4, 5, 6}, {2, 3}),
          named<int64_t>("steps", {-42}, {}),
          named<double>("a", {1e300}, {1, 1, 1, 1}),
          named<bf16>("half", {bf16(1.5f), bf16(-3e38f)}, {2}),
          named<int32_t>("none", {}, {0, 3})};
}

TEST_F(Safetensors, RoundTripIsBitExact) {
  write_safetensors(path("f"), sample(), {{"format", "pt"}, {"weights", "ema"}});
  const NamedTensors read = read_safetensors(path("f"));
  EXPECT_EQ(read.all().size(), 6u);
  EXPECT_EQ(read.metadata.at("weights"), "ema");
  for (const auto& [name, values] : sample()) {
    const Tensor& found = read.at(name, values.shape(), values.dtype());
    EXPECT_EQ(std::memcmp(found.raw(), values.raw(), values.bytes()), 0) << name;
  }
  EXPECT_EQ(file_count(), 1u);
}

// safetensors 0.8 has loaded this file in Python and gave these values and metadata.
TEST_F(Safetensors, AsTheLibraryReadIt) {
  write_safetensors(path("f"), sample(), {{"format", "pt"}});
  EXPECT_EQ(sha256_file(path("f")),
            "f56c29cc3bf8e002ba403c0b88d796113c458c9c2d1d7088a63708ec6fe7e893");
}

TEST(SafetensorsOfTheLibrary, AreRead) {
  const NamedTensors read = read_safetensors(std::string(DDPM_TEST_DATA) + "/tensors.safetensors");
  EXPECT_EQ(read.metadata.at("format"), "pt");
  EXPECT_EQ(read.all().size(), 17u);
  EXPECT_THAT(read.at("transposed", {3, 2}, DType::kF32).to_host<float>(),
              ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(read.at("i16", {2}, DType::kI32).to_host<int32_t>(), ElementsAre(-32768, 7));
  EXPECT_THAT(read.at("steps", {}, DType::kI64).to_host<int64_t>(), ElementsAre(42));
}

// A file with this header and eight bytes of values.
std::string file_of(const std::string& header) {
  std::string file(8, '\0');
  file[0] = static_cast<char>(header.size());
  file[1] = static_cast<char>(header.size() >> 8);
  return file + header + std::string(8, '\x01');
}

TEST_F(Safetensors, EveryBreachIsNamed) {
  const auto tensor = [](const char* name, const char* dtype, const char* shape,
                         const char* offsets) {
    return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape,
                       offsets);
  };
  const std::string low = tensor("low", "F32", "[1]", "[0,4]");
  const std::string high = tensor("high", "F32", "[1]", "[4,8]");
  write_file_atomically(path("f"), file_of("{" + high + "," + low + "}   "));
  EXPECT_EQ(read_safetensors(path("f")).all().front().name, "low");

  const std::pair<std::string, const char*> kCases[] = {
      {"{" + low + "}", "has 8 bytes of values, its tensors take 4"},
      {"{" + high + "}", "'high' begins at byte 4 of the values, after a hole"},
      {"{" + low + "," + tensor("b", "F32", "[1]", "[3,7]") + "}", "inside another tensor"},
      {"{" + low + "," + low + "}", "has two entries called 'low'"},
      {R"({"a":{"dtype":"F32","dtype":"F64"}})", "has two entries called 'dtype'"},
      {"{" + tensor("a", "F32", "[3]", "[0,8]") + "}", "'a' of shape (3) and type f32 needs more"},
      {"{" + tensor("a", "F32", "[1]", "[0,8]") + "}", "'a' of shape (1) and type F32 has 8 bytes"},
      {"{" + tensor("a", "F32", "[2]", "[0,12]") + "}", "lies at bytes [0, 12] of 8"},
      {"{" + tensor("a", "F32", "[2]", "[8,0]") + "}", "lies at bytes [8, 0] of 8"},
      {"{" + tensor("a", "F32", "[2]", "[0]") + "}", "lies at bytes [0] of 8"},
      {"{" + tensor("a", "F32", "[2]", "[0,-8]") + "}", "non-negative integers 'data_offsets'"},
      {"{" + tensor("a", "F32", "[2.0]", "[0,8]") + "}", "non-negative integers 'shape'"},
      {"{" + tensor("a", "F32", "[18446744073709551615]", "[0,8]") + "}", "negative extent"},
      {"{" + tensor("a", "F32", "[4294967296,4294967296]", "[0,8]") + "}", "needs more"},
      {"{" + tensor("a", "F32", "[1,1,1,1,2]", "[0,8]") + "}", "has 5 extents"},
      {"{" + tensor("a", "F8_E5M2", "[8]", "[0,8]") + "}", "'a' has type F8_E5M2; known are F64"},
      {R"({"a":1})", "'a' is not described by an object"},
      {R"({"a":{}})", "'a' has no string 'dtype'"},
      {R"({"__metadata__":{"a":1}})", "'a' of __metadata__ is not a string"},
      {R"({"__metadata__":[]})", "__metadata__ is not an object"},
      {R"([])", "its header is not an object"},
      {R"({"a":[[[1]]]})", "its header nests 4 levels"},
      {R"({"a":)", "its header is not JSON"},
      {"{\"a\xff\":1}", "its header is not JSON"},
  };
  for (const auto& [header, message] : kCases) {
    write_file_atomically(path("f"), file_of(header));
    const std::string error = error_of([&] { read_safetensors(path("f")); });
    EXPECT_THAT(error, HasSubstr(message)) << header;
    EXPECT_THAT(error, HasSubstr(quoted("f"))) << header;
  }
  write_file_atomically(path("f"), "1234567");
  EXPECT_THAT(error_of([&] { read_safetensors(path("f")); }), HasSubstr("has only 7 bytes"));
  write_file_atomically(path("f"), std::string(8, '\xff') + "{}");
  EXPECT_THAT(error_of([&] { read_safetensors(path("f")); }),
              HasSubstr("would have 18446744073709551615 bytes, the file has 2"));
  EXPECT_THAT(error_of([&] { read_safetensors(path("")); }), HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace ddpm
