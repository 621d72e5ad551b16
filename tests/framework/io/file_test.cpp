// Whole files: bounds, atomic replacement, gzip in every state of damage, full disks.
#include "framework/io/file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <zlib.h>

#include <array>

#include "framework/io/sha256.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

using testing::error_of;
using ::testing::HasSubstr;
using File = testing::TempFolder;

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return {bytes.begin(), bytes.end()};
}

std::vector<std::byte> gzip(std::span<const std::byte> plain) {
  std::vector<std::byte> packed(plain.size() + 1000);
  z_stream stream = {};
  const int gzip_window = 15 + 16;
  deflateInit2(&stream, 6, Z_DEFLATED, gzip_window, 8, Z_DEFAULT_STRATEGY);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

TEST_F(File, RoundTrip) {
  const std::vector<std::byte> bytes = bytes_of(std::string("a\0b\r\n\xff", 6));
  write_file_atomically(path("f"), bytes);
  EXPECT_EQ(read_binary_file(path("f")), bytes);
  EXPECT_EQ(read_gzip_file(path("f")), bytes);  // plain files pass through
  write_file_atomically(path("f"), "shorter");
  EXPECT_EQ(read_text_file(path("f")), "shorter");
  write_file_atomically(path("f"), "");
  EXPECT_EQ(read_text_file(path("f")), "");
  EXPECT_EQ(file_count(), 1u);  // no temporary is left
}

TEST_F(File, SizesAreBounded) {
  write_file_atomically(path("f"), "12345");
  EXPECT_EQ(read_text_file(path("f"), 5), "12345");
  const std::string message = quoted("f") + " is too large: more than the 4 bytes allowed";
  EXPECT_EQ(error_of([&] { read_text_file(path("f"), 4); }), message);
  EXPECT_EQ(error_of([&] { read_binary_file(path("f"), 4); }), message);
  EXPECT_EQ(error_of([&] { read_gzip_file(path("f"), 4); }), message);
  EXPECT_THAT(error_of([&] { read_binary_file("/dev/zero", 1 << 20); }), HasSubstr("too large"));
}

TEST_F(File, ErrorsNameTheFile) {
  EXPECT_EQ(error_of([&] { read_text_file(path("none")); }),
            "cannot open " + quoted("none") + ": No such file or directory");
  EXPECT_EQ(error_of([&] { read_gzip_file(path("none")); }),
            "cannot open " + quoted("none") + ": No such file or directory");
  EXPECT_EQ(error_of([&] { read_binary_file(path("")); }),
            "cannot read " + quoted("") + ": Is a directory");
  EXPECT_THAT(error_of([&] { write_file_atomically(path("none/f"), "x"); }),
              HasSubstr("No such file or directory"));
  EXPECT_THAT(error_of([&] { append_line(path("none/f"), "x"); }),
              HasSubstr("No such file or directory"));
}

TEST_F(File, AFailedWriteLeavesTheOldFile) {
  // A folder in the way makes the rename fail, after everything was written.
  std::filesystem::create_directory(path("taken"));
  EXPECT_THAT(error_of<Error>([&] { write_file_atomically(path("taken"), "x"); }),
              HasSubstr("Is a directory"));
  EXPECT_EQ(file_count(), 1u);
}

TEST_F(File, AFullDiskIsAnError) {
  EXPECT_EQ(error_of<Error>([] { write_file_atomically("/dev/full", "x"); }),
            "cannot write '/dev/full': No space left on device");
  EXPECT_EQ(error_of<Error>([] { append_line("/dev/full", "x"); }),
            "cannot write '/dev/full': No space left on device");
  struct stat status;  // a device is never replaced by a file
  ASSERT_EQ(::stat("/dev/full", &status), 0);
  EXPECT_TRUE(S_ISCHR(status.st_mode));
}

TEST_F(File, AppendedLines) {
  append_line(path("log"), "one");
  append_line(path("log"), "");
  append_line(path("log"), "three");
  EXPECT_EQ(read_text_file(path("log")), "one\n\nthree\n");
  EXPECT_THROW(append_line(path("log"), "two\nlines"), Error);
}

TEST_F(File, GzipIsDecompressed) {
  std::string text;
  for (int i = 0; i < 300000; ++i) text += std::to_string(i);  // more than one piece
  const std::vector<std::byte> plain = bytes_of(text), packed = gzip(plain);
  write_file_atomically(path("f.gz"), packed);
  EXPECT_EQ(read_gzip_file(path("f.gz"), plain.size()), plain);
  // The bound is on what comes out, not on the file.
  ASSERT_LT(packed.size(), plain.size() - 1);
  EXPECT_THAT(error_of([&] { read_gzip_file(path("f.gz"), plain.size() - 1); }),
              HasSubstr("too large"));
}

TEST_F(File, DamagedGzipIsRefused) {
  const std::vector<std::byte> plain = bytes_of("some text, some more text"), packed = gzip(plain);
  // Two bytes make the magic number; a shorter file cannot be told from a plain one.
  for (size_t size = 2; size < packed.size(); ++size) {
    write_file_atomically(path("f.gz"), std::span(packed).first(size));
    EXPECT_THAT(error_of([&] { read_gzip_file(path("f.gz")); }), HasSubstr("truncated")) << size;
  }
  for (size_t i = packed.size() - 8; i < packed.size(); ++i) {  // its checksum and length
    std::vector<std::byte> bad = packed;
    bad[i] ^= std::byte{1};
    write_file_atomically(path("f.gz"), bad);
    EXPECT_THAT(error_of([&] { read_gzip_file(path("f.gz")); }), HasSubstr("incorrect")) << i;
  }
}

TEST_F(File, Sha256) {
  // FIPS 180-2, appendix B.
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::string million(1000000, 'a');
  write_file_atomically(path("f"), million);
  EXPECT_EQ(sha256_file(path("f")),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  Sha256 pieces;
  for (int i = 0; i < 1000; ++i) pieces.update(std::as_bytes(std::span(million).first(1000)));
  EXPECT_EQ(pieces.hex(), sha256_hex(million));
}

}  // namespace
}  // namespace ddpm
