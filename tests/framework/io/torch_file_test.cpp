// Files that PyTorch wrote (tests/golden/make_tensor_files.py), and pickles that nothing should
// run.
#include "framework/io/torch_file.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "framework/io/zip.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using TorchFile = testing::TempFolder;

std::string golden(const char* name) { return std::string(DDPM_TEST_DATA) + "/" + name; }

class StateDictOfPyTorch : public ::testing::TestWithParam<const char*> {};

TEST_P(StateDictOfPyTorch, IsRead) {
  const NamedTensors state = read_torch_file(golden(GetParam()));
  const auto floats = [&](const char* name, const Shape& shape) {
    return state.at(name, shape, DType::kF32).to_host<float>();
  };
  const auto integers = [&](const char* name) {
    return state.at(name, {2}, DType::kI32).to_host<int32_t>();
  };
  EXPECT_EQ(state.all().size(), 17u);
  EXPECT_EQ(state.all().front().name, "conv.weight");
  std::vector<float> eighths(24);
  for (size_t i = 0; i < 24; ++i) eighths[i] = static_cast<float>(i) / 8;
  EXPECT_EQ(floats("conv.weight", {2, 3, 2, 2}), eighths);
  EXPECT_THAT(floats("transposed", {3, 2}), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(floats("shared.all", {10}), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_THAT(floats("shared.tail", {4}), ElementsAre(6, 7, 8, 9));
  EXPECT_THAT(floats("shared.every_third", {3}), ElementsAre(1, 4, 7));
  EXPECT_THAT(floats("expanded", {2, 2}), ElementsAre(3, 3, 3, 3));
  EXPECT_THAT(state.at("steps", {}, DType::kI64).to_host<int64_t>(), ElementsAre(42));
  EXPECT_EQ(state.at("empty").shape(), Shape({0, 3}));
  EXPECT_THAT(state.at("f64", {2}, DType::kF64).to_host<double>(), ElementsAre(1e300, -0.1));
  EXPECT_THAT(floats("f16", {5}), ElementsAre(1.5f, -std::ldexp(1.0f, -24), 65504,
                                              std::numeric_limits<float>::infinity(), 0));
  const auto half = state.at("bf16", {2}, DType::kBf16).to_host<bf16>();
  EXPECT_EQ(static_cast<float>(half[0]), 1.5f);
  EXPECT_EQ(static_cast<float>(half[1]), static_cast<float>(bf16(-3e38f)));
  EXPECT_THAT(integers("i32"), ElementsAre(std::numeric_limits<int32_t>::min(), 7));
  EXPECT_THAT(integers("i16"), ElementsAre(-32768, 7));
  EXPECT_THAT(integers("i8"), ElementsAre(-128, 7));
  EXPECT_THAT(state.at("u8", {2}, DType::kU8).to_host<uint8_t>(), ElementsAre(255, 7));
  EXPECT_THAT(state.at("bool", {2}, DType::kU8).to_host<uint8_t>(), ElementsAre(1, 0));
  EXPECT_THAT(floats("parameter", {1}), ElementsAre(0.25f));
}

INSTANTIATE_TEST_SUITE_P(Containers, StateDictOfPyTorch,
                         ::testing::Values("tensors_zip.pth", "tensors_legacy.pth"));

TEST_F(TorchFile, NestedDictsBecomePaths) {
  const NamedTensors state = read_torch_file(golden("tensors_nested.pth"));  // protocol 4
  std::vector<std::string> names;
  for (const NamedTensor& tensor : state.all()) names.push_back(tensor.name);
  EXPECT_THAT(names,
              ElementsAre("model.weight", "model.bias", "model.running_mean", "model.running_var",
                          "model.num_batches_tracked", "averages.0.weight"));
  EXPECT_THAT(state.at("averages.0.weight").to_host<float>(), ElementsAre(1, 2));
}

// An archive with this pickle, and a storage "0" of four floats.
void write_archive(const std::string& path, const std::string& pickle,
                   const std::string& root = "archive/") {
  ZipWriter archive(path);
  archive.begin(root + "data.pkl", pickle.size());
  archive.write(pickle);
  archive.begin(root + "data/0", 16);
  archive.write(std::string(16, '\0'));
  archive.commit();
}

// Pickled texts and calls, put together by hand.
std::string text(const std::string& s) {
  return fmt::format("\x8c{}{}", static_cast<char>(s.size()), s);
}
std::string global(const char* module, const char* name) {
  return fmt::format("c{}\n{}\n", module, name);
}
std::string integer(int32_t n) {
  std::string bytes = "J";
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(n >> (8 * i));
  return bytes;
}
const std::string kProto("\x80\x02");

std::string tensor(const std::string& elements, const std::string& offset, const std::string& size,
                   const std::string& stride, const char* storage = "FloatStorage") {
  return global("torch._utils", "_rebuild_tensor_v2") + "((" + text("storage") +
         global("torch", storage) + text("0") + text("cpu") + elements + "tQ" + offset + size +
         stride + "\x89}tR";
}
std::string state(const std::string& value) { return kProto + "}" + text("w") + value + "s."; }

TEST_F(TorchFile, WhatIsNoTensorDataIsRefusedByName) {
  const std::string four = integer(4), zero = integer(0), one = integer(1), two = integer(2);
  const std::string size_4 = four + "\x85", stride_1 = one + "\x85";
  const auto error_of_pickle = [&](const std::string& pickle) {
    write_archive(path("f.pth"), pickle);
    const std::string error = error_of([&] { read_torch_file(path("f.pth")); });
    EXPECT_THAT(error, HasSubstr(error == "no error" ? "" : quoted("f.pth")));
    return error;
  };
  EXPECT_EQ(error_of_pickle(state(tensor(four, zero, size_4, stride_1))), "no error");

  // Code: the classic, builtins, a whole module.
  EXPECT_THAT(error_of_pickle(kProto + global("os", "system") + "(" + text("true") + "tR."),
              HasSubstr("refers to Python's 'os.system', which is not plain tensor data and is "
                        "never run"));
  EXPECT_THAT(error_of_pickle(kProto + text("builtins") + text("eval") + "\x93."),
              HasSubstr("'builtins.eval'"));
  EXPECT_THAT(error_of_pickle(state(global("torch.nn.modules.conv", "Conv2d") + ")\x81")),
              HasSubstr("state_dict()"));
  // Instances by other opcodes than REDUCE.
  EXPECT_THAT(error_of_pickle(kProto + "(i__main__\nX\n."), HasSubstr("opcode 0x69"));
  EXPECT_THAT(error_of_pickle(kProto + global("torch", "Size") + ")\x81."),
              HasSubstr("opcode 0x81"));

  // Views that leave their storage.
  const char* kLeaves = "leaves its storage of 4 elements";
  EXPECT_THAT(error_of_pickle(state(tensor(four, one, size_4, stride_1))), HasSubstr(kLeaves));
  EXPECT_THAT(error_of_pickle(state(tensor(four, integer(-1), size_4, stride_1))),
              HasSubstr(kLeaves));
  EXPECT_THAT(error_of_pickle(state(tensor(four, four, one + "\x85", stride_1))),
              HasSubstr(kLeaves));
  EXPECT_THAT(error_of_pickle(state(tensor(four, zero, size_4, two + "\x85"))),
              HasSubstr("'w' of shape (4) and strides (2) from element 0 on leaves"));
  EXPECT_THAT(error_of_pickle(state(
                  tensor(four, zero, two + two + "\x86", integer(0x7fffffff) + one + "\x86"))),
              HasSubstr(kLeaves));
  EXPECT_THAT(error_of_pickle(state(tensor(four, zero, size_4, integer(-1) + "\x85"))),
              HasSubstr("not a tuple of non-negative integers"));
  EXPECT_THAT(error_of_pickle(state(tensor(four, zero, size_4, ")"))),
              HasSubstr("1 extents and 0 strides"));
  // A stride of zero cannot make a small file large.
  const std::string million = integer(1 << 20);
  EXPECT_THAT(error_of_pickle(state(tensor(four, zero, million + "\x85", zero + "\x85"))),
              HasSubstr("needs more than"));
  EXPECT_THAT(
      error_of_pickle(state(tensor(four, zero, million + million + "\x86", zero + zero + "\x86"))),
      HasSubstr("needs more than"));
  // Storages of another size or type, or none.
  EXPECT_THAT(error_of_pickle(state(tensor(two, zero, two + "\x85", stride_1))),
              HasSubstr("'archive/data/0' has 16 bytes, not those of 2 elements of f32"));
  EXPECT_THAT(error_of_pickle(state(tensor(integer(-4), zero, size_4, stride_1))),
              HasSubstr("not described as PyTorch does"));
  EXPECT_THAT(error_of_pickle(state(tensor(four, zero, size_4, stride_1, "Size"))),
              HasSubstr("has the type torch.Size"));
  EXPECT_THAT(error_of_pickle(kProto + "}" + text("v") + tensor(four, zero, size_4, stride_1) +
                              "s" + text("w") +
                              tensor(two, zero, two + "\x85", stride_1, "DoubleStorage") + "s."),
              HasSubstr("storage '0' has two types, f32 and f64"));

  // Not a state dict.
  EXPECT_THAT(error_of_pickle(kProto + tensor(four, zero, size_4, stride_1) + "."),
              HasSubstr("holds a single tensor, not a dict of tensors"));
  EXPECT_THAT(error_of_pickle(kProto + "N."), HasSubstr("holds None"));
  EXPECT_THAT(error_of_pickle(state(tensor(four, zero, size_4, stride_1)).replace(2, 0, "]0")),
              HasSubstr("opcode 0x30"));
  const std::string item = text("w") + tensor(four, zero, size_4, stride_1) + "s";
  EXPECT_THAT(error_of_pickle(kProto + "}" + item + item + "."),
              HasSubstr("two tensors called 'w'"));
}

TEST_F(TorchFile, NestingIsBounded) {
  const auto error_of_pickle = [&](const std::string& pickle) {
    write_archive(path("f.pth"), kProto + pickle + ".");
    return error_of([&] { read_torch_file(path("f.pth")); });
  };
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "]";
  for (int i = 1; i < 100000; ++i) deep += "a";
  EXPECT_THAT(error_of_pickle(deep), HasSubstr("nested deeper than 16 levels"));
  // A list that holds itself.
  const std::string itself =
      "]q\x01h\x01"
      "a";
  EXPECT_THAT(error_of_pickle(itself), HasSubstr("in too many places"));
  // Fifteen lists, each of which holds the one before ten times.
  std::string laughs = "(]q" + std::string(1, '\0');
  for (char i = 1; i < 15; ++i) {
    laughs += "](";
    for (int k = 0; k < 10; ++k) laughs += std::string("h") + static_cast<char>(i - 1);
    laughs += std::string("eq") + i;
  }
  EXPECT_THAT(error_of_pickle(laughs + "t"), HasSubstr("in too many places"));
}

TEST_F(TorchFile, OtherFilesAreNamed) {
  write_file_atomically(path("f.pth"), "not a checkpoint at all");
  EXPECT_EQ(error_of([&] { read_torch_file(path("f.pth")); }),
            quoted("f.pth") + " is not a PyTorch file: neither a ZIP archive nor the old stream");
  ZipWriter other(path("g.pth"));
  other.begin("readme", 0);
  other.commit();
  EXPECT_THAT(error_of([&] { read_torch_file(path("g.pth")); }),
              HasSubstr("is a ZIP archive without data.pkl"));
  ZipWriter script(path("h.pth"));
  script.begin("m/data.pkl", 0);
  script.begin("m/constants.pkl", 0);
  script.commit();
  EXPECT_THAT(error_of([&] { read_torch_file(path("h.pth")); }),
              HasSubstr("is a TorchScript archive, which holds code"));
  ZipWriter big(path("i.pth"));
  big.begin("m/data.pkl", 0);
  big.begin("m/byteorder", 3);
  big.write("big");
  big.commit();
  EXPECT_THAT(error_of([&] { read_torch_file(path("i.pth")); }), HasSubstr("big-endian"));
}

}  // namespace
}  // namespace ddpm
