// ZIP archives: what is written comes back, with and without ZIP64, and damage is named.
#include "framework/io/zip.h"

#include <gmock/gmock.h>

#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using Zip = testing::TempFolder;

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write_sample(const std::string& path, bool force_zip64) {
  ZipWriter archive(path, force_zip64);
  archive.begin("first", 10);
  archive.write("01234");
  archive.write("56789");
  archive.begin("empty", 0);
  archive.begin("folder/last", 3);
  archive.write("abc");
  archive.commit();
}

TEST_F(Zip, RoundTrip) {
  for (const bool force_zip64 : {false, true}) {
    write_sample(path("f.zip"), force_zip64);
    const ZipReader archive(path("f.zip"));
    ASSERT_EQ(archive.members().size(), 3u);
    EXPECT_EQ(text_of(archive.read(*archive.find("first"), 10)), "0123456789");
    EXPECT_EQ(text_of(archive.read(*archive.find("empty"), 10)), "");
    EXPECT_EQ(text_of(archive.read(*archive.find("folder/last"), 10)), "abc");
    EXPECT_EQ(archive.find("none"), nullptr);
    ZipMemberReader reader(archive, *archive.find("first"));
    std::vector<std::byte> piece(4);
    reader.read(piece);
    EXPECT_EQ(text_of(piece), "0123");
    EXPECT_EQ(reader.remaining(), 6u);
  }
  EXPECT_EQ(file_count(), 1u);
}

TEST_F(Zip, ACommentMayFollow) {
  write_sample(path("f.zip"), false);
  std::string bytes = read_text_file(path("f.zip"));
  bytes[bytes.size() - 2] = 5;
  write_file_atomically(path("f.zip"), bytes + "hello");
  EXPECT_EQ(ZipReader(path("f.zip")).members().size(), 3u);
  write_file_atomically(path("f.zip"), bytes + "hell");
  EXPECT_THAT(error_of([&] { ZipReader archive(path("f.zip")); }), HasSubstr("its end is missing"));
}

// `position` of the bytes that are replaced, counted from the end if negative.
std::string read_changed(const std::string& path, int64_t position, std::string_view bytes) {
  write_sample(path, false);
  std::string file = read_text_file(path);
  const auto at =
      static_cast<size_t>(position < 0 ? position + static_cast<int64_t>(file.size()) : position);
  file.replace(at, bytes.size(), bytes);
  write_file_atomically(path, file);
  return error_of([&] {
    const ZipReader archive(path);
    for (const ZipMember& member : archive.members()) archive.read(member, 1000);
  });
}

TEST_F(Zip, DamageIsNamed) {
  const std::string file = path("f.zip");
  // The last record has 22 bytes; before it stand three of the directory, of 46 bytes and a name.
  const int64_t last = -22 - 46 - 11;
  EXPECT_EQ(read_changed(file, 35, "X"), quoted("f.zip") +
                                             " is damaged: the checksum of 'first' "
                                             "does not fit");
  EXPECT_THAT(read_changed(file, 0, "X"), HasSubstr("'first' does not begin at byte 0"));
  EXPECT_THAT(read_changed(file, last, "X"), HasSubstr("no directory record for member 2 of 3"));
  EXPECT_THAT(read_changed(file, last + 8, "\x01"), HasSubstr("'folder/last' is encrypted"));
  EXPECT_THAT(read_changed(file, last + 10, "\x0c"), HasSubstr("by method 12"));
  EXPECT_THAT(read_changed(file, last + 24, "\x04"), HasSubstr("cannot have 4 bytes in 3"));
  EXPECT_THAT(read_changed(file, last + 20, "\xff\xff\xff\x7f"), HasSubstr("larger than the file"));
  EXPECT_THAT(read_changed(file, last + 20, "\xff\xff\xff\xff"),
              HasSubstr("lacks its ZIP64 sizes"));
  EXPECT_THAT(read_changed(file, last + 42, "\xff\xff\xff\x7f"), HasSubstr("truncated"));
  EXPECT_THAT(read_changed(file, -22 + 4, "\x01"), HasSubstr("one part of several"));
  EXPECT_THAT(read_changed(file, -22 + 10, "\xff\xff"), HasSubstr("does not fit"));
  EXPECT_THAT(read_changed(file, -22 + 12, "\xff\xff\xff\x7f"), HasSubstr("does not fit"));
}

TEST_F(Zip, SizesAreBounded) {
  write_sample(path("f.zip"), false);
  const ZipReader archive(path("f.zip"));
  EXPECT_EQ(error_of([&] { archive.read(*archive.find("first"), 9); }),
            quoted("f.zip") + ": 'first' has 10 bytes, at most 9 are allowed");
  // A deflated member of 3 bytes cannot be a terabyte.
  ZipMember bomb = *archive.find("folder/last");
  bomb.method = 8;
  bomb.size = size_t{1} << 40;
  EXPECT_THAT(error_of([&] { ZipMemberReader(archive, bomb); }), HasSubstr("cannot have"));
}

TEST_F(Zip, NamesAreUnique) {
  ZipWriter writer(path("f.zip"));
  writer.begin("a", 0);
  writer.begin("a", 0);
  writer.commit();
  EXPECT_EQ(error_of([&] { ZipReader archive(path("f.zip")); }),
            quoted("f.zip") + " has two members called 'a'");
}

TEST_F(Zip, WithoutCommitThereIsNoFile) {
  {
    ZipWriter archive(path("f.zip"));
    archive.begin("a", 1);
    archive.write("x");
  }
  EXPECT_EQ(file_count(), 0u);
}

}  // namespace
}  // namespace ddpm
