// Image files against what Pillow makes of them, and damaged ones.
#include "framework/io/image_file.h"

#include <gmock/gmock.h>

#include "framework/io/exif.h"
#include "framework/io/file.h"
#include "framework/io/hdf5_file.h"
#include "framework/io/jpeg.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

class ImageFile : public testing::TempFolder {
 protected:
  std::vector<uint8_t> golden(const std::string& array) const {
    return golden_.read<uint8_t>(array, golden_.info(array).shape);
  }
  std::vector<std::byte> bytes_of(const std::string& name) const {
    const std::vector<uint8_t> bytes = golden("files/" + name);
    const auto view = std::as_bytes(std::span(bytes));
    return {view.begin(), view.end()};
  }
  std::string write(const std::string& name, std::span<const std::byte> bytes) const {
    write_file_atomically(path(name), bytes);
    return path(name);
  }

  Hdf5Reader golden_{DDPM_TEST_DATA "/images.h5"};
};

TEST_F(ImageFile, DecodesWhatPillowDecodes) {
  for (const std::string& array : golden_.arrays("decoded")) {
    const std::string name = array.substr(array.rfind('/') + 1);
    Image image = read_image(write(name, bytes_of(name)));
    if (image.shape[2] == 4) {  // the golden has the colours only
      std::vector<uint8_t> colours;
      for (size_t i = 0; i < image.pixels.size(); ++i)
        if (i % 4 != 3) colours.push_back(image.pixels[i]);
      image = {image.shape.with_inner(3), colours};
    }
    const std::vector<uint8_t> expected = golden(array);
    // Pillow keeps grey with alpha and palettes of grey apart; both have three equal channels here.
    ASSERT_EQ(image.pixels.size(), expected.size()) << name;
    EXPECT_EQ(image.shape.str(), golden_.info(array).shape.str()) << name;
    EXPECT_EQ(image.pixels, expected) << name;
  }
}

TEST_F(ImageFile, RefusesWhatItCannotShow) {
  EXPECT_THAT(error_of([&] { read_image(write("a.jpg", bytes_of("cmyk.jpg"))); }),
              HasSubstr(quoted("a.jpg") + " has 4 colour components (CMYK?)"));
  EXPECT_THAT(error_of([&] { read_image(write("a.png", bytes_of("deep.png"))); }),
              HasSubstr(quoted("a.png") + " has 16 bits per channel"));
  EXPECT_THAT(error_of([&] { read_image(write("b.png", {})); }),
              HasSubstr(quoted("b.png") + " is neither a PNG nor a JPEG image"));
  EXPECT_THAT(error_of([&] { read_image(write("c.jpg", bytes_of("photo.jpg")), 45 * 61 * 3 - 1); }),
              HasSubstr("(45, 61, 3) is too large"));
}

TEST_F(ImageFile, NamesDoNotMatter) {
  EXPECT_EQ(read_image(write("really.png", bytes_of("grey.jpg"))).pixels,
            golden("decoded/grey.jpg"));
}

// Whatever is cut off, also of a progressive image, is missed: nothing is filled up with grey.
TEST_F(ImageFile, TruncatedJpegsAreRefused) {
  for (const char* name : {"photo.jpg", "progressive.jpg", "oriented_6.jpg"}) {
    const std::vector<std::byte> good = bytes_of(name);
    for (size_t size = 0; size < good.size() - 2; ++size)  // without the end marker all is there
      EXPECT_NE(error_of([&] { decode_jpeg(std::span(good).first(size), "f"); }), "no error")
          << name << " " << size;
  }
}

// Bits turned over anywhere either are noticed or leave an image of the right size.
TEST_F(ImageFile, DamagedJpegsNeverCrash) {
  for (const char* name : {"photo.jpg", "progressive.jpg", "oriented_6.jpg"}) {
    const std::vector<std::byte> good = bytes_of(name);
    int noticed = 0;
    for (size_t i = 0; i < good.size(); ++i) {
      std::vector<std::byte> bad = good;
      bad[i] ^= std::byte{1} << (i % 8);
      try {
        const Image image = decode_jpeg(bad, "f", 1 << 20);
        EXPECT_EQ(static_cast<int64_t>(image.pixels.size()), image.shape.numel());
      } catch (const UserError&) {
        ++noticed;
      }
    }
    EXPECT_GT(noticed, 0) << name;
  }
}

TEST_F(ImageFile, DamagedExifIsUpright) {
  const std::vector<std::byte> photo = bytes_of("oriented_6.png");
  const std::string_view text(reinterpret_cast<const char*>(photo.data()), photo.size());
  const size_t exif = text.find("eXIf") + 4;
  ASSERT_NE(exif, std::string_view::npos + 4);
  // The block: byte order, 42, offset of the directory; one entry; then the end. 26 bytes.
  const auto block = std::span(photo).subspan(exif, 26);
  EXPECT_EQ(exif_orientation(block), 6);
  for (size_t size = 0; size < 18; ++size)
    EXPECT_EQ(exif_orientation(block.first(size)), 1) << size;
  for (size_t i = 0; i < block.size(); ++i) {
    std::vector<std::byte> bad(block.begin(), block.end());
    bad[i] ^= std::byte{0xff};
    const int orientation = exif_orientation(bad);
    EXPECT_TRUE(orientation == 1 || orientation == 6) << i << " " << orientation;
  }
}

}  // namespace
}  // namespace ddpm
