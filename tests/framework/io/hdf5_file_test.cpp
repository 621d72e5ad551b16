// HDF5 files: what comes back, what is refused, and that damage anywhere never gives wrong values.
#include "framework/io/hdf5_file.h"

#include <gmock/gmock.h>
#include <hdf5.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <numeric>

#include "framework/io/file.h"
#include "tests/framework/io/temp_folder.h"

namespace ddpm {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using Hdf5 = testing::TempFolder;

template <class T>
std::vector<T> iota(int64_t n) {
  std::vector<T> values(static_cast<size_t>(n));
  std::iota(values.begin(), values.end(), T{1});
  return values;
}

template <class T>
void write(Hdf5Writer& file, const std::string& path, const Shape& shape,
           const std::vector<T>& values) {
  file.array(path, shape, std::span<const T>(values));
}

void write_sample(const std::string& path, bool compress = false) {
  Hdf5Writer file(path, compress);
  write(file, "/params/unet/z_first/weight", {4, 3}, iota<float>(12));
  write(file, "/params/unet/a_second/weight", {2, 1, 2, 3}, iota<double>(12));
  write(file, "/images", {5, 2}, iota<uint8_t>(10));
  file.group("/empty/group");
  file.set_string("/", "format", "ddpm.test");
  file.set_integer("/", "step", int64_t{1} << 52);
  file.set_number("/params", "decay", 0.9999);
  file.commit();
}

TEST_F(Hdf5, RoundTrip) {
  write_sample(path("f.h5"));
  EXPECT_EQ(file_count(), 1u);
  const Hdf5Reader file(path("f.h5"));
  EXPECT_EQ(file.read<float>("/params/unet/z_first/weight", {4, 3}), iota<float>(12));
  EXPECT_EQ(file.read<double>("/params/unet/a_second/weight", {2, 1, 2, 3}), iota<double>(12));
  EXPECT_EQ(file.read<uint8_t>("/images", {5, 2}), iota<uint8_t>(10));
  EXPECT_EQ(file.string("/", "format"), "ddpm.test");
  EXPECT_EQ(file.integer("/", "step"), int64_t{1} << 52);
  EXPECT_EQ(file.number("/params", "decay"), 0.9999);
  EXPECT_EQ(file.info("/images").shape, Shape({5, 2}));
  EXPECT_EQ(file.info("/images").dtype, DType::kU8);
  EXPECT_TRUE(file.has("/params/unet"));
  EXPECT_TRUE(file.has("/"));
  EXPECT_FALSE(file.has("/params/vae/weight"));
  EXPECT_TRUE(file.has_attribute("/params", "decay"));
  EXPECT_FALSE(file.has_attribute("/params", "format"));
}

TEST_F(Hdf5, EveryTypeAndSize) {
  const std::string large(100000, 'x');  // beyond the 64 KiB of old attribute formats
  const Shape shape = {3, 700, 700};     // several chunks, cut off unevenly
  {
    Hdf5Writer file(path("f.h5"), /*compress=*/true);
    write(file, "/f32", shape, iota<float>(shape.numel()));
    write(file, "/f64", shape, iota<double>(shape.numel()));
    write(file, "/i32", shape, iota<int32_t>(shape.numel()));
    write(file, "/i64", shape, iota<int64_t>(shape.numel()));
    write(file, "/u8", shape, iota<uint8_t>(shape.numel()));
    write(file, "/none", {0, 3}, std::vector<float>());
    file.set_string("/", "large", large);
    file.set_string("/", "empty", "");
    file.set_string("/f32", "utf-8", "\xce\xb5\xcc\x82");
    file.commit();
  }
  const Hdf5Reader file(path("f.h5"));
  EXPECT_EQ(file.read<float>("/f32", shape), iota<float>(shape.numel()));
  EXPECT_EQ(file.read<double>("/f64", shape), iota<double>(shape.numel()));
  EXPECT_EQ(file.read<int32_t>("/i32", shape), iota<int32_t>(shape.numel()));
  EXPECT_EQ(file.read<int64_t>("/i64", shape), iota<int64_t>(shape.numel()));
  EXPECT_EQ(file.read<uint8_t>("/u8", shape), iota<uint8_t>(shape.numel()));
  EXPECT_EQ(file.read<float>("/none", {0, 3}), std::vector<float>());
  EXPECT_EQ(file.string("/", "large"), large);
  EXPECT_EQ(file.string("/", "empty"), "");
  EXPECT_EQ(file.string("/f32", "utf-8"), "\xce\xb5\xcc\x82");
}

TEST_F(Hdf5, ListsInOrderOfCreation) {
  write_sample(path("f.h5"));
  const Hdf5Reader file(path("f.h5"));
  EXPECT_THAT(file.list("/"), ElementsAre("params", "images", "empty"));
  EXPECT_THAT(file.list("/params/unet"), ElementsAre("z_first", "a_second"));
  EXPECT_THAT(file.arrays(), ElementsAre("/params/unet/z_first/weight",
                                         "/params/unet/a_second/weight", "/images"));
  EXPECT_THAT(file.arrays("/params/unet/a_second"), ElementsAre("/params/unet/a_second/weight"));
}

TEST_F(Hdf5, Rows) {
  write_sample(path("f.h5"));
  const Hdf5Reader file(path("f.h5"));
  std::vector<uint8_t> rows(4);
  file.read_rows("/images", 3, {2, 2}, DType::kU8, rows.data());
  EXPECT_THAT(rows, ElementsAre(7, 8, 9, 10));
  EXPECT_EQ(error_of([&] {
              file.read_rows("/images", 4, {2, 2}, DType::kU8, rows.data());
            }),
            quoted("f.h5") + ": '/images' is u8 (5, 2), expected u8 (2, 2) from row 4");
}

TEST_F(Hdf5, EqualContentGivesEqualBytes) {
  write_sample(path("a.h5"));
  { const std::vector<char> disturb_the_heap(1 << 20, 'x'); }
  write_sample(path("b.h5"));
  write_sample(path("c.h5"), /*compress=*/true);
  EXPECT_EQ(read_binary_file(path("a.h5")), read_binary_file(path("b.h5")));
  EXPECT_NE(read_binary_file(path("a.h5")), read_binary_file(path("c.h5")));
}

TEST_F(Hdf5, WithoutCommitThereIsNoFile) {
  write_file_atomically(path("f.h5"), "old");
  {
    Hdf5Writer file(path("f.h5"));
    write(file, "/x", {2}, iota<float>(2));
  }
  EXPECT_EQ(read_text_file(path("f.h5")), "old");
  EXPECT_EQ(file_count(), 1u);
}

TEST_F(Hdf5, ErrorsSayWhatWasFoundAndExpected) {
  write_sample(path("f.h5"));
  const std::string name = quoted("f.h5");
  const Hdf5Reader file(path("f.h5"));
  EXPECT_EQ(error_of([&] {
              file.read<float>("/images", {5, 3});
            }),
            name + ": '/images' is u8 (5, 2), expected f32 (5, 3)");
  EXPECT_EQ(error_of([&] { file.info("/params/vae"); }), name + " has no array '/params/vae'");
  EXPECT_THAT(error_of([&] { file.info("/params"); }),
              HasSubstr(name + ": cannot open array '/params': "));
  EXPECT_EQ(error_of([&] { file.integer("/", "epoch"); }), name + ": '/' has no attribute 'epoch'");
  EXPECT_EQ(error_of([&] { file.integer("/", "format"); }),
            name + ": attribute 'format' of '/' is not an integer");
  EXPECT_EQ(error_of([&] { file.string("/", "step"); }),
            name + ": attribute 'step' of '/' is not a string");
  EXPECT_THAT(error_of([&] { file.list("/none"); }), HasSubstr("cannot open group '/none'"));

  EXPECT_EQ(error_of([&] { Hdf5Reader none(path("none")); }),
            "cannot open " + quoted("none") + ": no such file");
  write_file_atomically(path("text"), "{}");
  EXPECT_EQ(error_of([&] { Hdf5Reader text(path("text")); }),
            quoted("text") + " is not an HDF5 file");
  EXPECT_THAT(error_of([&] { Hdf5Writer none(path("none/f.h5")); }),
              HasSubstr("cannot create " + quoted("none/f.h5")));
}

TEST_F(Hdf5, ForeignFilesAreBounded) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  const hid_t file = H5Fcreate(path("f.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const auto make = [&](const char* name, std::vector<hsize_t> dims, hid_t type, hid_t create) {
    const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
    const hid_t array = H5Dcreate2(file, name, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    EXPECT_GE(array, 0) << name;
    H5Dclose(array);
    H5Sclose(space);
  };
  const hid_t chunked = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t huge_chunk[] = {1 << 28};
  H5Pset_chunk(chunked, 1, huge_chunk);
  const hid_t external = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_external(external, "/etc/passwd", 0, 4);
  make("huge", {hsize_t{1} << 60}, H5T_NATIVE_FLOAT, chunked);
  make("huge_chunk", {1 << 28}, H5T_NATIVE_UINT8, chunked);
  make("external", {4}, H5T_NATIVE_UINT8, external);
  make("rank_5", {1, 1, 1, 1, 1}, H5T_NATIVE_FLOAT, H5P_DEFAULT);
  make("short", {1}, H5T_NATIVE_SHORT, H5P_DEFAULT);
  make("big_endian", {1}, H5T_IEEE_F32BE, H5P_DEFAULT);
  H5Lcreate_hard(file, "/", file, "loop", H5P_DEFAULT, H5P_DEFAULT);
  H5Pclose(chunked);
  H5Pclose(external);
  H5Fclose(file);

  const Hdf5Reader reader(path("f.h5"));
  const auto error = [&](const char* name) { return error_of([&] { reader.info(name); }); };
  EXPECT_THAT(error("/huge"), HasSubstr("is too large"));
  EXPECT_THAT(error("/huge_chunk"),
              HasSubstr("the chunks of '/huge_chunk' have shape (268435456)"));
  EXPECT_THAT(error("/external"), HasSubstr("are in another file"));
  EXPECT_THAT(error("/rank_5"), HasSubstr("has 5 extents, at most 4 allowed"));
  EXPECT_THAT(error("/short"), HasSubstr("has a type other than f32"));
  EXPECT_EQ(reader.info("/big_endian").dtype, DType::kF32);
  EXPECT_THAT(error_of([&] { reader.arrays(); }), HasSubstr("nested deeper than"));
}

// A limit on file sizes stands in for a full disk: writes fail in the same places.
TEST_F(Hdf5, AFullDiskIsAnErrorAndLeavesNothing) {
  write_file_atomically(path("f.h5"), "old");
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit;
  ::getrlimit(RLIMIT_FSIZE, &old_limit);
  for (const rlim_t bytes : {0, 100, 5000, 3000000}) {
    const rlimit limit = {bytes, old_limit.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string message = error_of<Error>([&] {
      Hdf5Writer file(path("f.h5"));
      write(file, "/x", {1000000}, iota<float>(1000000));
      file.commit();
    });
    ::setrlimit(RLIMIT_FSIZE, &old_limit);
    EXPECT_THAT(message, HasSubstr("File too large")) << bytes;
    EXPECT_EQ(file_count(), 1u);
    EXPECT_EQ(read_text_file(path("f.h5")), "old");
  }
  write_sample(path("f.h5"));  // the library is still usable
  EXPECT_EQ(Hdf5Reader(path("f.h5")).integer("/", "step"), int64_t{1} << 52);
}

// Writes `bytes` under a fresh name, since HDF5 knows open files by their inode, and reads them
// all; "no error" if everything came back unharmed.
std::string read_damaged(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<int64_t>(bytes.size()));
  const std::string error = error_of([&] {
    const Hdf5Reader file(path);
    for (const std::string& array : file.arrays()) file.info(array);
    EXPECT_EQ(file.read<float>("/params/unet/z_first/weight", {4, 3}), iota<float>(12));
    EXPECT_EQ(file.read<double>("/params/unet/a_second/weight", {2, 1, 2, 3}), iota<double>(12));
    EXPECT_EQ(file.read<uint8_t>("/images", {5, 2}), iota<uint8_t>(10));
    EXPECT_EQ(file.integer("/", "step"), int64_t{1} << 52);
    EXPECT_EQ(file.number("/params", "decay"), 0.9999);
    EXPECT_EQ(file.string("/", "format"), "ddpm.test");
  });
  std::filesystem::remove(path);
  return error;
}

TEST_F(Hdf5, AFlippedBitNeverBecomesAValue) {
  write_sample(path("f.h5"));
  const std::vector<std::byte> good = read_binary_file(path("f.h5"));
  for (size_t i = 0; i < good.size(); ++i) {
    SCOPED_TRACE(i);
    std::vector<std::byte> bad = good;
    bad[i] ^= std::byte{1} << (i % 8);
    read_damaged(path(fmt::format("{}.h5", i)), bad);
  }
}

TEST_F(Hdf5, EveryFlippedBitOfAnArrayIsReported) {
  write_sample(path("f.h5"));
  const std::vector<std::byte> good = read_binary_file(path("f.h5"));
  const std::vector<uint8_t> images = iota<uint8_t>(10);
  const auto found = std::search(good.begin(), good.end(), std::as_bytes(std::span(images)).begin(),
                                 std::as_bytes(std::span(images)).end());
  ASSERT_NE(found, good.end());
  for (size_t bit = 0; bit < 8 * images.size(); ++bit) {
    std::vector<std::byte> bad = good;
    bad[static_cast<size_t>(found - good.begin()) + bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_THAT(read_damaged(path(fmt::format("{}.h5", bit)), bad), HasSubstr("Fletcher32"));
  }
}

TEST_F(Hdf5, AnImageInMemoryReadsLikeItsFile) {
  write_sample(path("f.h5"));
  const std::vector<std::byte> bytes = read_binary_file(path("f.h5"));
  const Hdf5Reader file(path("f.h5")), image("shipped", bytes);
  EXPECT_EQ(image.arrays(), file.arrays());
  EXPECT_EQ(image.read<float>("/params/unet/z_first/weight", {4, 3}), iota<float>(12));
  EXPECT_THAT(error_of([&] { Hdf5Reader("damaged", std::span(bytes).first(100)); }),
              HasSubstr("'damaged': cannot open the file in memory"));
}

TEST_F(Hdf5, ATruncatedFileIsRefusedAtEveryLength) {
  write_sample(path("f.h5"));
  const std::vector<std::byte> good = read_binary_file(path("f.h5"));
  for (size_t size = 0; size < good.size(); ++size) {
    const auto part = std::span(good).first(size);
    EXPECT_NE(read_damaged(path(fmt::format("{}.h5", size)), part), "no error") << size;
  }
}

}  // namespace
}  // namespace ddpm
