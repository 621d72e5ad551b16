// PNG round trips, damage, bounds, and a grid small enough to write down.
#include "framework/io/png.h"

#include <gmock/gmock.h>

#include <numeric>

#include "framework/io/file.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

using ::testing::ElementsAreArray;
using testing::error_of;
using ::testing::HasSubstr;
using Png = testing::TempFolder;

Image noise(const Shape& shape) {
  Image image{shape, std::vector<uint8_t>(static_cast<size_t>(shape.numel()))};
  uint32_t state = 1;
  for (uint8_t& pixel : image.pixels) {
    state = state * 1664525 + 1013904223;
    pixel = static_cast<uint8_t>(state >> 24);
  }
  return image;
}

TEST_F(Png, RoundTrip) {
  for (const int64_t channels : {1, 3, 4}) {
    const Image image = noise({7, 5, channels});
    write_png(path("f.png"), image);
    const Image back = read_png(path("f.png"));
    EXPECT_EQ(back.shape, image.shape);
    EXPECT_EQ(back.pixels, image.pixels);
  }
  EXPECT_EQ(file_count(), 1u);
}

// As other programs write them, so that two mistakes of ours cannot cancel: 2x1 pixels, made with
// Python's zlib.
constexpr uint8_t kPalette[] = {
    137, 80,  78, 71, 13, 10,  26,  10, 0,  0,   0,   13,  73,  72,  68,  82, 0,   0,
    0,   2,   0,  0,  0,  1,   8,   3,  0,  0,   0,   195, 252, 143, 184, 0,  0,   0,
    6,   80,  76, 84, 69, 200, 100, 0,  10, 20,  30,  237, 88,  155, 123, 0,  0,   0,
    11,  73,  68, 65, 84, 120, 156, 99, 96, 100, 0,   0,   0,   5,   0,   2,  209, 102,
    51,  120, 0,  0,  0,  0,   73,  69, 78, 68,  174, 66,  96,  130};
constexpr uint8_t kGrey16[] = {137, 80,  78,  71,  13, 10,  26, 10, 0,  0,  0,   13, 73,  72,
                               68,  82,  0,   0,   0,  2,   0,  0,  0,  1,  16,  0,  0,   0,
                               0,   129, 217, 252, 21, 0,   0,  0,  13, 73, 68,  65, 84,  120,
                               156, 99,  96,  100, 98, 102, 1,  0,  0,  25, 0,   11, 231, 90,
                               70,  164, 0,   0,   0,  0,   73, 69, 78, 68, 174, 66, 96,  130};

TEST_F(Png, ReadsPalettesAndRefuses16Bits) {
  const Image image = decode_png(std::as_bytes(std::span(kPalette)), "palette.png");
  EXPECT_EQ(image.shape, Shape({1, 2, 3}));
  EXPECT_THAT(image.pixels, ElementsAreArray({10, 20, 30, 200, 100, 0}));
  EXPECT_EQ(error_of([] { decode_png(std::as_bytes(std::span(kGrey16)), "deep.png"); }),
            "'deep.png' has 16 bits per channel, only 8 are allowed");
}

TEST_F(Png, DamageIsRefused) {
  const std::vector<std::byte> good = encode_png(noise({6, 6, 3}));
  constexpr size_t kEndChunk = 12;  // carries nothing, and libpng does not insist on it
  for (size_t size = 0; size < good.size() - kEndChunk; ++size) {
    EXPECT_NE(error_of([&] { decode_png(std::span(good).first(size), "f"); }), "no error") << size;
  }
  // Every byte of the image data and its checksum.
  const size_t data = good.size() - kEndChunk - 6 * (1 + 6 * 3);
  for (size_t i = data; i < good.size() - kEndChunk; ++i) {
    std::vector<std::byte> bad = good;
    bad[i] ^= std::byte{1} << (i % 8);
    EXPECT_NE(error_of([&] { decode_png(bad, "f"); }), "no error") << i;
  }
}

TEST_F(Png, Errors) {
  write_file_atomically(path("text"), "not an image");
  EXPECT_THAT(error_of([&] { read_png(path("text")); }),
              HasSubstr(quoted("text") + " is not a PNG image: "));
  write_png(path("f.png"), noise({8, 8, 3}));
  EXPECT_EQ(error_of([&] { read_png(path("f.png"), 8 * 8 * 3 - 1); }),
            quoted("f.png") + " of shape (8, 8, 3) is too large: 191 bytes allowed");
  EXPECT_THROW(encode_png({{2, 2, 2}, std::vector<uint8_t>(8)}), Error);
  EXPECT_THROW(encode_png({{2, 2, 3}, std::vector<uint8_t>(11)}), Error);
}

TEST(ImageGrid, TilesRowByRow) {
  const std::vector<uint8_t> images = {1, 2, 3};  // three images of one pixel
  const Image grid = image_grid({3, 1, 1, 1}, images);
  EXPECT_EQ(grid.shape, Shape({4, 4, 1}));
  EXPECT_THAT(grid.pixels, ElementsAreArray({1, 255, 255, 2,      //
                                             255, 255, 255, 255,  //
                                             255, 255, 255, 255,  //
                                             3, 255, 255, 255}));
}

TEST(ImageGrid, ColumnsChannelsAndZoom) {
  const std::vector<uint8_t> images = {1, 2, 3, 4, 5, 6};  // one image of 1x2 RGB pixels
  const Image grid = image_grid({1, 1, 2, 3}, images, 8, 2);
  EXPECT_EQ(grid.shape, Shape({2, 4, 3}));
  EXPECT_THAT(grid.pixels, ElementsAreArray({1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6,  //
                                             1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6}));
  EXPECT_EQ(image_grid({6, 1, 1, 1}, images, 6).shape, Shape({1, 16, 1}));
  EXPECT_EQ(image_grid({6, 1, 1, 1}, images).shape, Shape({4, 7, 1}));  // 2 rows of 3
}

}  // namespace
}  // namespace ddpm
