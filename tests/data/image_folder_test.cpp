// Folders of images: what is found, in which order, with which labels, and what is refused.
#include "data/image_folder.h"

#include <gmock/gmock.h>

#include "framework/cpu/parallel.h"
#include "framework/io/hdf5_file.h"
#include "framework/io/png.h"
#include "tests/data/files.h"

namespace ddpm {
namespace {

using ::testing::AllOf;
using testing::Bytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::refusal;
using testing::TemporaryFolder;

Bytes png(const Shape& shape, const Bytes& pixels) {
  const std::vector<std::byte> bytes = encode_png({shape, pixels});
  const auto* begin = reinterpret_cast<const uint8_t*>(bytes.data());
  return {begin, begin + bytes.size()};
}
Bytes pixel(uint8_t value) { return png({1, 1, 1}, {value}); }

TEST(ImageFolder, FindsSortsAndLabels) {
  const TemporaryFolder folder;
  folder.write("dog/b.png", pixel(3));
  folder.write("dog/old/a.PNG", pixel(4));
  folder.write("cat/2.png", pixel(2));
  folder.write("cat/10.png", pixel(1));
  folder.write("cat/notes.txt", {1, 2, 3});
  folder.write("cat/.hidden.png", {});
  folder.write("elsewhere/more/c.png", pixel(5));
  std::filesystem::create_directory_symlink(folder.path("elsewhere/more"), folder.path("eel"));
  const Dataset dataset = read_image_folder({.path = folder.path()});
  EXPECT_THAT(dataset.train.pixels, ElementsAre(1, 2, 3, 4, 5, 5));
  EXPECT_THAT(dataset.class_names, ElementsAre("cat", "dog", "eel", "elsewhere"));
  EXPECT_THAT(dataset.train.labels, ElementsAre(0, 0, 1, 1, 2, 3));
  EXPECT_EQ(dataset.image_shape, Shape({1, 1, 1}));
  const Dataset unlabelled =
      read_image_folder({.path = folder.path(), .labels = ImageLabels::kNone});
  EXPECT_TRUE(unlabelled.train.labels.empty());
  EXPECT_TRUE(unlabelled.class_names.empty());
}

TEST(ImageFolder, LabelsOfPrefixesAndOfHeldOutImages) {
  const TemporaryFolder folder;
  folder.write("train/plane_1.png", pixel(1));
  folder.write("train/bird_1.png", pixel(2));
  folder.write("test/plane_2.png", pixel(3));
  folder.write("test/cow_2.png", pixel(4));
  const Dataset dataset = read_image_folder({.path = folder.path("train"),
                                             .test_path = folder.path("test"),
                                             .labels = ImageLabels::kPrefix});
  EXPECT_THAT(dataset.class_names, ElementsAre("bird", "cow", "plane"));
  EXPECT_THAT(dataset.train.labels, ElementsAre(0, 2));
  EXPECT_THAT(dataset.test.labels, ElementsAre(1, 2));
  EXPECT_THAT(dataset.test.pixels, ElementsAre(4, 3));
  // By folder none of these has a class.
  EXPECT_TRUE(read_image_folder({.path = folder.path("train")}).train.labels.empty());
  EXPECT_THAT(refusal([&] {
                folder.write("train/x/1.png", pixel(1));
                read_image_folder({.path = folder.path("train")});
              }),
              AllOf(HasSubstr("x/1.png' is of class 'x'"), HasSubstr("bird_1.png' of none")));
}

TEST(ImageFolder, AlphaIsRefusedDroppedOrLaidOver) {
  const TemporaryFolder folder;
  folder.write("a.png", png({1, 3, 4}, {10, 20, 30, 255, 200, 100, 0, 128, 9, 9, 9, 0}));
  const auto pixels = [&](Alpha alpha) {
    return read_image_folder({.path = folder.path(), .alpha = alpha}).train.pixels;
  };
  EXPECT_THAT(refusal([&] { pixels(Alpha::kRefuse); }),
              AllOf(HasSubstr(folder.path("a.png")), HasSubstr("transparent")));
  EXPECT_THAT(pixels(Alpha::kDrop), ElementsAre(10, 20, 30, 200, 100, 0, 9, 9, 9));
  EXPECT_THAT(pixels(Alpha::kBlack), ElementsAre(10, 20, 30, 100, 50, 0, 0, 0, 0));
  EXPECT_THAT(pixels(Alpha::kWhite), ElementsAre(10, 20, 30, 227, 177, 127, 255, 255, 255));
  folder.write("a.png", png({1, 1, 4}, {10, 20, 30, 255}));
  EXPECT_THAT(pixels(Alpha::kRefuse), ElementsAre(10, 20, 30)) << "nothing is lost";
}

TEST(ImageFolder, GreyAndColourMixOnDemand) {
  const TemporaryFolder folder;
  folder.write("a.png", png({1, 1, 1}, {50}));
  folder.write("b.png", png({1, 1, 3}, {255, 0, 0}));
  EXPECT_THAT(
      refusal([&] { read_image_folder({.path = folder.path()}); }),
      AllOf(HasSubstr(folder.path("b.png")), HasSubstr("(1, 1, 3)"), HasSubstr("channels")));
  EXPECT_THAT(read_image_folder({.path = folder.path(), .channels = 3}).train.pixels,
              ElementsAre(50, 50, 50, 255, 0, 0));
  EXPECT_THAT(read_image_folder({.path = folder.path(), .channels = 1}).train.pixels,
              ElementsAre(50, 76));
}

TEST(ImageFolder, CropsToTheAspectRatio) {
  const auto box = [](int64_t h, int64_t w, int64_t height, int64_t width) {
    const CropBox b = centre_crop({h, w, 3}, height, width);
    return std::vector<int64_t>{b.top, b.left, b.height, b.width};
  };
  EXPECT_THAT(box(45, 61, 16, 16), ElementsAre(0, 8, 45, 45));
  EXPECT_THAT(box(61, 45, 16, 16), ElementsAre(8, 0, 45, 45));
  EXPECT_THAT(box(45, 61, 8, 20), ElementsAre(10, 0, 24, 61));
  EXPECT_THAT(box(45, 61, 45, 61), ElementsAre(0, 0, 45, 61));
  EXPECT_THAT(box(1, 4096, 4096, 1), ElementsAre(0, 2047, 1, 1));
}

// From the file to the pixels: decoding, crop and filter are each Pillow's.
TEST(ImageFolder, EqualsPillow) {
  const Hdf5Reader golden(DDPM_TEST_DATA "/images.h5");
  const TemporaryFolder folder;
  folder.write("photo.jpg",
               golden.read<uint8_t>("files/photo.jpg", golden.info("files/photo.jpg").shape));
  ASSERT_EQ(golden.arrays("cropped").size(), 2u);
  for (const std::string& array : golden.arrays("cropped")) {
    const Shape to = golden.info(array).shape;
    const Dataset dataset = read_image_folder(
        {.path = folder.path(), .size = {to[0], to[1]}, .resize = Resize::kBicubic});
    EXPECT_EQ(dataset.train.pixels, golden.read<uint8_t>(array, to)) << array;
  }
}

TEST(ImageFolder, NamesEveryKindOfBadFile) {
  const TemporaryFolder folder;
  EXPECT_THAT(refusal([&] { read_image_folder({.path = folder.path("none")}); }),
              HasSubstr(folder.path("none")));
  EXPECT_THAT(refusal([&] { read_image_folder({.path = folder.path()}); }),
              HasSubstr("there is no PNG or JPEG file"));
  folder.write("a.png", pixel(1));
  folder.write("b.png", {1, 2, 3});
  Bytes cut = pixel(2);
  cut.resize(cut.size() / 2);
  folder.write("c.png", cut);
  folder.write("d.png", png({2, 1, 1}, {1, 2}));
  for (const int threads : {1, 3}) {
    cpu::set_thread_count(threads);
    EXPECT_THAT(refusal([&] { read_image_folder({.path = folder.path()}); }),
                AllOf(HasSubstr("3 of the images 1 to 4"), HasSubstr("b.png' is neither"),
                      HasSubstr("c.png' is"), HasSubstr("d.png' is of shape (2, 1, 1)"),
                      Not(HasSubstr("\n  ..."))));
  }
  cpu::set_thread_count(0);
  folder.write("e.webp", {1});
  EXPECT_THAT(refusal([&] { read_image_folder({.path = folder.path()}); }),
              HasSubstr("e.webp' is neither PNG nor JPEG"));
}

TEST(ImageFolder, ALoopOfLinksEnds) {
  const TemporaryFolder folder;
  folder.write("a/1.png", pixel(1));
  std::filesystem::create_directory_symlink(folder.path(), folder.path("a/up"));
  EXPECT_THAT(refusal([&] { read_image_folder({.path = folder.path()}); }),
              HasSubstr("nested deeper than"));
}

}  // namespace
}  // namespace ddpm
