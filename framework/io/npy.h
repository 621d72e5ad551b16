// NumPy's .npy and .npz: arrays for and from programs outside this project. Samples as u8
// (N, H, W, C) under the name "arr_0" are what published evaluators of FID and Inception Score
// read; reference statistics come as "mu" and "sigma".
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "framework/core/dtype.h"
#include "framework/core/shape.h"
#include "framework/io/named_tensors.h"
#include "framework/io/zip.h"

namespace ddpm {

// What recognises a .npy by its first bytes.
bool is_npy(const InputFile& file);

// All arrays of an archive by their names without ".npy", stored or deflated, in C or Fortran
// order. Objects, strings, structures, complex and big-endian numbers are refused by name.
NamedTensors read_npz(const std::string& path);
// The one array of a .npy, under the name "".
NamedTensors read_npy(const std::string& path);

struct NpzArray {
  std::string name;
  Shape shape;
  DType dtype;
  std::span<const std::byte> values;  // row-major, in host memory
};

// An uncompressed archive; equal arrays give equal bytes.
void write_npz(const std::string& path, const std::vector<NpzArray>& arrays);
void write_npy(const std::string& path, const Shape& shape, DType dtype,
               std::span<const std::byte> values);

// The same array by array and piece by piece, for what need not fit into memory. The file appears
// with commit().
class NpzWriter {
 public:
  explicit NpzWriter(const std::string& path) : archive_(path) {}
  // The values of `shape` follow, in any number of calls of append().
  void begin(const std::string& name, const Shape& shape, DType dtype);
  void append(std::span<const std::byte> values) { archive_.write(values); }
  void commit() { archive_.commit(); }

 private:
  ZipWriter archive_;
};

}  // namespace ddpm
