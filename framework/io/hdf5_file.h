// HDF5 files of named arrays with attributes: checkpoints, statistics, samples. Any HDF5 1.8 or
// later and h5py reads them.
//
// Arrays are chunked, so that HDF5 can checksum them (Fletcher-32 per chunk), and carry the CRC-32
// of their values, because the index of the chunks has no checksum. Equal content gives equal
// bytes: no times are stored. A file appears under its name complete or not at all.
//
// Paths are absolute: "/params/unet/conv_in/weight". Attributes belong to a group or an array, the
// file's own to "/". Reading trouble is a UserError, since another file may mend it; writing
// trouble is an Error.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "framework/core/dtype.h"
#include "framework/core/shape.h"

namespace ddpm {

class Hdf5Writer {
 public:
  // `compress` shuffles and deflates: a seventh smaller for weights, and ten times slower.
  explicit Hdf5Writer(std::string path, bool compress = false);
  ~Hdf5Writer();  // without a commit there is no file
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  // Groups keep the order in which their members were made. Parents are created.
  void group(const std::string& path);
  // f32, f64, u8, i32 or i64, of rank 1 or more, in host memory.
  void array(const std::string& path, const Shape& shape, DType dtype, const void* values);
  template <class T>
  void array(const std::string& path, const Shape& shape, std::span<const T> values) {
    DDPM_ASSERT(static_cast<int64_t>(values.size()) == shape.numel(), "{}: {} values for shape {}",
                path, values.size(), shape);
    array(path, shape, dtype_of<T>, values.data());
  }

  void set_integer(const std::string& object, const std::string& name, int64_t value);
  void set_number(const std::string& object, const std::string& name, double value);
  void set_string(const std::string& object, const std::string& name, const std::string& value);

  // Closes, syncs and publishes the file. Nothing may follow.
  void commit();

 private:
  void attribute(const std::string& object, const std::string& name, int64_t type,
                 const void* value);
  template <class... Args>
  void check(bool ok, fmt::format_string<Args...> action, Args&&... args) const;

  std::string path_, temporary_;
  bool compress_;
  int64_t file_ = -1;  // an hid_t
};

struct Hdf5Array {
  Shape shape;
  DType dtype = DType::kF32;
};

class Hdf5Reader {
 public:
  explicit Hdf5Reader(std::string path);
  // The bytes of a file in memory, which are copied; `name` is what messages call them.
  Hdf5Reader(std::string name, std::span<const std::byte> image);
  ~Hdf5Reader();
  Hdf5Reader(const Hdf5Reader&) = delete;
  Hdf5Reader& operator=(const Hdf5Reader&) = delete;

  bool has(const std::string& path) const;
  bool has_attribute(const std::string& object, const std::string& name) const;
  // The names in a group: in the order of creation if the file keeps it, else by name.
  std::vector<std::string> list(const std::string& group) const;
  // The paths of all arrays below a group.
  std::vector<std::string> arrays(const std::string& group = "/") const;
  Hdf5Array info(const std::string& path) const;

  // The whole array, which must have this shape and type.
  void read(const std::string& path, const Shape& shape, DType dtype, void* values) const;
  template <class T>
  std::vector<T> read(const std::string& path, const Shape& shape) const {
    std::vector<T> values(static_cast<size_t>(shape.numel()));
    read(path, shape, dtype_of<T>, values.data());
    return values;
  }
  // Rows begin, begin + 1, ... of an array: `rows` is the shape of what is read.
  void read_rows(const std::string& path, int64_t begin, const Shape& rows, DType dtype,
                 void* values) const;

  int64_t integer(const std::string& object, const std::string& name) const;
  double number(const std::string& object, const std::string& name) const;
  std::string string(const std::string& object, const std::string& name) const;

  const std::string& path() const { return path_; }

 private:
  void collect(const std::string& group, int depth, std::vector<std::string>& found) const;
  void read_selection(const std::string& path, int64_t begin, const Shape& rows, DType dtype,
                      void* values) const;
  template <class Read>
  void attribute(const std::string& object, const std::string& name, const char* expected,
                 const Read& read_value) const;
  template <class... Args>
  void check(bool ok, fmt::format_string<Args...> action, Args&&... args) const;

  std::string path_;
  int64_t file_ = -1;  // an hid_t
};

}  // namespace ddpm
