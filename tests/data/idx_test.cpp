// The IDX reader on files that the test writes, whole and broken, and on Debian's Fashion-MNIST.
#include "data/idx.h"

#include <gmock/gmock.h>
#include <zlib.h>

#include <numeric>

#include "framework/io/file.h"
#include "framework/io/sha256.h"
#include "tests/data/files.h"

namespace ddpm {
namespace {

using ::testing::AllOf;
using testing::Bytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::refusal;
using testing::TemporaryFolder;

Bytes idx(const std::vector<uint32_t>& extents, const Bytes& elements) {
  Bytes bytes{0, 0, 8, static_cast<uint8_t>(extents.size())};
  for (uint32_t e : extents)
    for (int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<uint8_t>(e >> shift));
  bytes.insert(bytes.end(), elements.begin(), elements.end());
  return bytes;
}

Bytes counting(size_t n) {
  Bytes bytes(n);
  std::iota(bytes.begin(), bytes.end(), uint8_t{1});
  return bytes;
}

std::string write_gz(const TemporaryFolder& folder, const std::string& name, const Bytes& bytes) {
  const gzFile file = gzopen(folder.path(name).c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  return folder.path(name);
}

std::string message(const TemporaryFolder& folder, const Bytes& bytes) {
  const std::string path = folder.write("broken", bytes);
  return refusal([&] { read_idx(path); });
}

TEST(Idx, ReadsPlainAndCompressed) {
  const TemporaryFolder folder;
  const Bytes bytes = idx({2, 3, 5}, counting(30));
  folder.write("plain", bytes);
  write_gz(folder, "packed.gz", bytes);
  // The name without .gz finds the compressed file too.
  for (const char* name : {"plain", "packed.gz", "packed"}) {
    const IdxArray array = read_idx(folder.path(name));
    EXPECT_THAT(array.extents, ElementsAre(2, 3, 5)) << name;
    EXPECT_EQ(array.values, counting(30)) << name;
  }
}

TEST(Idx, ExtentsAreBigEndian) {
  const TemporaryFolder folder;
  const std::string path = folder.write("wide", idx({1, 1, 258}, counting(258)));
  EXPECT_THAT(read_idx(path).extents, ElementsAre(1, 1, 258));
}

TEST(Idx, RefusesEveryTruncation) {
  const TemporaryFolder folder;
  const std::string path = folder.write("cut", idx({2, 3, 2}, counting(12)));
  testing::for_every_truncation(path, [&](size_t size) {
    ASSERT_THAT(refusal([&] { read_idx(path); }), AllOf(HasSubstr("cut"), HasSubstr("bytes")))
        << size;
  });
}

TEST(Idx, RefusesEveryTruncationOfACompressedFile) {
  const TemporaryFolder folder;
  const std::string path = write_gz(folder, "cut.gz", idx({2, 3, 2}, counting(12)));
  testing::for_every_truncation(path, [&](size_t size) {
    ASSERT_THAT(refusal([&] { read_idx(path); }), HasSubstr("cut.gz")) << size;
  });
}

TEST(Idx, RefusesTrailingBytes) {
  const TemporaryFolder folder;
  EXPECT_THAT(message(folder, idx({2, 3, 2}, counting(13))),
              AllOf(HasSubstr("13 bytes of elements"), HasSubstr("12")));
}

TEST(Idx, RefusesABadHeader) {
  const TemporaryFolder folder;
  const auto with = [](size_t at, uint8_t value) {
    Bytes bytes = idx({2, 3, 2}, counting(12));
    bytes[at] = value;
    return bytes;
  };
  EXPECT_THAT(message(folder, with(0, 0x1f)), HasSubstr("bytes 1f 00"));
  EXPECT_THAT(message(folder, with(1, 1)), HasSubstr("bytes 00 01"));
  EXPECT_THAT(message(folder, with(2, 0x0d)), HasSubstr("type 0x0d"));  // f32
  EXPECT_THAT(message(folder, with(3, 0)), HasSubstr("rank 0"));
  EXPECT_THAT(message(folder, with(3, 255)), HasSubstr("rank 255"));
  // Extents whose product wraps around to 12 in 64 bits must not pass for 12.
  EXPECT_THAT(message(folder, idx({0x80000000, 0x80000000, 4}, counting(12))),
              HasSubstr("elements allowed"));
  EXPECT_THAT(message(folder, idx({0xffffffff}, counting(12))), HasSubstr("elements allowed"));
}

TEST(Idx, MakesADatasetOfImagesAndLabels) {
  const TemporaryFolder folder;
  const IdxPaths paths{folder.write("images", idx({3, 2, 4}, counting(24))),
                       folder.write("labels", idx({3}, {2, 0, 4})),
                       folder.write("test_images", idx({1, 2, 4}, counting(8))), ""};
  const Dataset dataset = read_idx_dataset(paths);
  EXPECT_EQ(dataset.image_shape, Shape({2, 4, 1}));
  EXPECT_EQ(dataset.levels, 256);
  EXPECT_EQ(dataset.train.count, 3);
  EXPECT_EQ(dataset.train.pixels, counting(24));
  EXPECT_THAT(dataset.train.labels, ElementsAre(2, 0, 4));
  EXPECT_EQ(dataset.test.count, 1);
  EXPECT_TRUE(dataset.test.labels.empty());
  EXPECT_THAT(dataset.class_names, ElementsAre("0", "1", "2", "3", "4"));
}

TEST(Idx, RefusesPartsThatDoNotFit) {
  const TemporaryFolder folder;
  const std::string images = folder.write("images", idx({3, 2, 4}, counting(24)));
  const std::string labels = folder.write("labels", idx({2}, {1, 1}));
  const std::string other = folder.write("other", idx({2, 3, 3}, counting(18)));
  const auto dataset = [](IdxPaths paths) { return refusal([&] { read_idx_dataset(paths); }); };
  EXPECT_THAT(dataset({images, labels, "", ""}),
              AllOf(HasSubstr("2 labels"), HasSubstr("3 images"), HasSubstr(labels)));
  EXPECT_THAT(dataset({images, images, "", ""}), HasSubstr("labels have rank 1"));
  EXPECT_THAT(dataset({labels, "", "", ""}), HasSubstr("rank 1; images have rank 3"));
  EXPECT_THAT(dataset({images, "", other, ""}),
              AllOf(HasSubstr("(3, 3, 1)"), HasSubstr("(2, 4, 1)")));
  EXPECT_THAT(dataset({images, "", "", labels}), HasSubstr("without test images"));
  EXPECT_THAT(dataset({folder.path("none"), "", "", ""}), HasSubstr("none.gz"));
  const std::string empty = folder.write("empty", idx({0, 2, 4}, {}));
  EXPECT_THAT(dataset({empty, "", "", ""}), HasSubstr("at least one image"));
  const std::string wide = folder.write("wide", idx({1, 1, 4097}, counting(4097)));
  EXPECT_THAT(dataset({wide, "", "", ""}), HasSubstr("1x4097"));
  const std::string planes = folder.write("planes", idx({1, 2, 2, 2}, counting(8)));
  EXPECT_THAT(dataset({planes, "", "", ""}), HasSubstr("1 or 3 channels"));
}

TEST(Idx, FindsMnistWhereTorchvisionPutsIt) {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, const Bytes& bytes) {
    folder.write("MNIST/raw/" + name, bytes);
  };
  write("train-images-idx3-ubyte", idx({2, 2, 2}, counting(8)));
  write("train-labels-idx1-ubyte", idx({2}, {9, 0}));
  write("t10k-images-idx3-ubyte", idx({1, 2, 2}, counting(4)));
  write("t10k-labels-idx1-ubyte", idx({1}, {3}));
  const Dataset dataset = read_mnist(folder.path());
  EXPECT_EQ(dataset.train.count, 2);
  EXPECT_EQ(dataset.test.count, 1);
  EXPECT_FALSE(dataset.flippable);
  EXPECT_EQ(dataset.class_names.size(), 10u);  // although no label says 4

  write("t10k-labels-idx1-ubyte", idx({1}, {10}));
  EXPECT_THAT(refusal([&] { read_mnist(folder.path()); }), HasSubstr("label 10"));
}

// The digests of the decompressed files are upstream's; those of the pixels were computed with
// Python's hashlib.
TEST(Idx, FashionMnistIsTheOriginal) {
  const std::string folder = kFashionMnistFolder;
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const auto digest = [&](const char* name) {
    return sha256_hex(read_gzip_file(folder + "/" + name));
  };
  EXPECT_EQ(digest("train-images-idx3-ubyte.gz"),
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888");
  EXPECT_EQ(digest("train-labels-idx1-ubyte.gz"),
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9");
  EXPECT_EQ(digest("t10k-images-idx3-ubyte.gz"),
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b");
  EXPECT_EQ(digest("t10k-labels-idx1-ubyte.gz"),
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34");

  Dataset dataset = read_fashion_mnist(folder);
  EXPECT_EQ(dataset.image_shape, Shape({28, 28, 1}));
  EXPECT_EQ(dataset.train.count, 60000);
  EXPECT_EQ(dataset.test.count, 10000);
  EXPECT_EQ(dataset.class_names[dataset.train.labels[0]], "ankle boot");
  fingerprint(dataset.test);
  EXPECT_EQ(dataset.test.data_sha256,
            "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a");
  EXPECT_EQ(dataset.test.labels_sha256,
            "53fdd09ed9cbcd893df0e3b0af7802f2d62457de11c87273d4b4186f4992a40c");
}

}  // namespace
}  // namespace ddpm
