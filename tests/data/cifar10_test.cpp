// The CIFAR-10 reader on files that the test writes, whole and broken.
#include "data/cifar10.h"

#include <gmock/gmock.h>

#include "tests/data/files.h"

namespace ddpm {
namespace {

using ::testing::AllOf;
using testing::Bytes;
using ::testing::HasSubstr;
using testing::refusal;
using testing::TemporaryFolder;

constexpr int kPlane = 1024;

// Every byte depends on its record, channel and position, so that a transposition shows.
uint8_t pixel(int record, int channel, int position) {
  return static_cast<uint8_t>(7 * record + 85 * channel + position * 13 + position / 256);
}

Bytes records(int first, int count) {
  Bytes bytes;
  for (int r = first; r < first + count; ++r) {
    bytes.push_back(static_cast<uint8_t>(r % 10));
    for (int c = 0; c < 3; ++c)
      for (int p = 0; p < kPlane; ++p) bytes.push_back(pixel(r, c, p));
  }
  return bytes;
}

void expect_records(const Split& split, int first, int count) {
  ASSERT_EQ(split.count, count);
  ASSERT_EQ(split.pixels.size(), static_cast<size_t>(count) * 3072);
  ASSERT_EQ(split.labels.size(), static_cast<size_t>(count));
  for (int r = 0; r < count; ++r) {
    EXPECT_EQ(split.labels[r], (first + r) % 10);
    for (int p = 0; p < kPlane; ++p)
      for (int c = 0; c < 3; ++c)
        ASSERT_EQ(split.pixels[(r * kPlane + p) * 3 + c], pixel(first + r, c, p))
            << "record " << r << " position " << p << " channel " << c;
  }
}

void write_batches(const TemporaryFolder& folder, const std::string& below) {
  for (int b = 0; b < 5; ++b)
    folder.write(fmt::format("{}data_batch_{}.bin", below, b + 1), records(2 * b, 2));
  folder.write(below + "test_batch.bin", records(10, 3));
}

TEST(Cifar10, ReadsTheFolder) {
  const TemporaryFolder folder;
  write_batches(folder, "");
  const Dataset dataset = read_cifar10(folder.path());
  EXPECT_EQ(dataset.image_shape, Shape({32, 32, 3}));
  EXPECT_EQ(dataset.levels, 256);
  EXPECT_EQ(dataset.class_names.size(), 10u);
  expect_records(dataset.train, 0, 10);
  expect_records(dataset.test, 10, 3);
}

TEST(Cifar10, FindsTheFolderBelow) {
  const TemporaryFolder folder;
  write_batches(folder, "cifar-10-batches-bin/");
  expect_records(read_cifar10(folder.path()).train, 0, 10);
}

TEST(Cifar10, ReadsOneFileOfRecords) {
  const TemporaryFolder folder;
  const Dataset dataset = read_cifar10(folder.write("some.bin", records(3, 4)));
  expect_records(dataset.train, 3, 4);
  EXPECT_EQ(dataset.test.count, 0);
}

TEST(Cifar10, RefusesEveryTruncation) {
  const TemporaryFolder folder;
  const std::string path = folder.write("cut.bin", records(0, 2));
  testing::for_every_truncation(path, [&](size_t size) {
    if (size == 3073) return;  // one whole record is a shorter file, not a broken one
    ASSERT_THAT(refusal([&] { read_cifar10(path); }),
                AllOf(HasSubstr("cut.bin"), HasSubstr(fmt::format("has {} bytes", size)),
                      HasSubstr("3073")));
  });
}

TEST(Cifar10, RefusesTrailingBytes) {
  const TemporaryFolder folder;
  Bytes bytes = records(0, 2);
  bytes.push_back(0);
  const std::string path = folder.write("long.bin", bytes);
  EXPECT_THAT(refusal([&] { read_cifar10(path); }),
              AllOf(HasSubstr("long.bin"), HasSubstr("6147"), HasSubstr("3073")));
}

// A file of 32 x 32 colour images in another layout has plausible sizes but no plausible labels.
TEST(Cifar10, RefusesLabelsAboveNine) {
  const TemporaryFolder folder;
  Bytes bytes = records(0, 3);
  bytes[2 * 3073] = 10;
  const std::string path = folder.write("label.bin", bytes);
  EXPECT_THAT(
      refusal([&] { read_cifar10(path); }),
      AllOf(HasSubstr("label.bin"), HasSubstr("record 2 has label 10"), HasSubstr("0 to 9")));
}

TEST(Cifar10, NamesTheMissingFile) {
  const TemporaryFolder folder;
  write_batches(folder, "");
  std::filesystem::remove(folder.path("data_batch_4.bin"));
  EXPECT_THAT(refusal([&] { read_cifar10(folder.path()); }), HasSubstr("data_batch_4.bin"));
  EXPECT_THAT(refusal([&] { read_cifar10(folder.path("nowhere")); }), HasSubstr("nowhere"));
}

}  // namespace
}  // namespace ddpm
