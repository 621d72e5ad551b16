// The .npy header (version 1.0) and the records of a ZIP archive without compression; see npy.h.
#include "framework/io/npy.h"

#include <zlib.h>

#include <limits>

#include "framework/core/check.h"
#include "framework/io/file.h"

namespace ddpm {

namespace {

const char* descriptor(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "<f4";
    case DType::kF64: return "<f8";
    case DType::kI32: return "<i4";
    case DType::kI64: return "<i8";
    case DType::kU8: return "|u1";
    case DType::kBf16: break;
  }
  fail("NumPy has no {}", name_of(dtype));
}

// Integers least significant byte first, as both formats want them.
void put(std::string& out, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}

std::string npy_header(const NpzArray& array) {
  std::string tuple;  // as Python prints it: (), (5,), (5, 3)
  for (int i = 0; i < array.shape.rank(); ++i) {
    tuple += fmt::format("{}{}", i ? ", " : "", array.shape[i]);
  }
  if (array.shape.rank() == 1) tuple += ",";
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                 descriptor(array.dtype), tuple);
  constexpr size_t kPrefix = 10, kAlignment = 64;
  text.append(kAlignment - 1 - (kPrefix + text.size()) % kAlignment, ' ');
  text += '\n';
  std::string header = "\x93NUMPY";
  put(header, 1, 2);  // version 1.0
  put(header, static_cast<uint32_t>(text.size()), 2);
  return header + text;
}

// What the local and the central record of a member share.
std::string member_fields(const std::string& name, uint32_t checksum, uint32_t size) {
  constexpr uint32_t kFirstOfJanuary1980 = 1 << 5 | 1;
  std::string fields;
  put(fields, 20, 2);  // version needed
  put(fields, 0, 2);   // flags
  put(fields, 0, 2);   // stored
  put(fields, 0, 2);   // time
  put(fields, kFirstOfJanuary1980, 2);
  put(fields, checksum, 4);
  put(fields, size, 4);  // compressed
  put(fields, size, 4);
  put(fields, static_cast<uint32_t>(name.size()), 2);
  put(fields, 0, 2);  // no extra field
  return fields;
}

}  // namespace

void write_npz(const std::string& path, const std::vector<NpzArray>& arrays) {
  std::string archive, directory;
  for (const NpzArray& array : arrays) {
    const size_t bytes = static_cast<size_t>(array.shape.numel()) * size_of(array.dtype);
    DDPM_ASSERT(array.values.size() == bytes, "'{}': {} bytes for {} {}", array.name,
                array.values.size(), name_of(array.dtype), array.shape);
    const std::string name = array.name + ".npy", header = npy_header(array);
    const auto offset = static_cast<uint32_t>(archive.size());
    constexpr size_t kRecords = 1 << 20;  // more than all headers take
    DDPM_CHECK(offset + bytes + kRecords < std::numeric_limits<uint32_t>::max(),
               "'{}' would be larger than the 4 GiB an .npz may have here: write fewer samples",
               path);
    uLong checksum = crc32_z(0, reinterpret_cast<const Bytef*>(header.data()), header.size());
    checksum = crc32_z(checksum, reinterpret_cast<const Bytef*>(array.values.data()), bytes);
    const std::string fields = member_fields(name, static_cast<uint32_t>(checksum),
                                             static_cast<uint32_t>(header.size() + bytes));
    put(archive, 0x04034b50, 4);
    archive += fields + name + header;
    archive.append(reinterpret_cast<const char*>(array.values.data()), bytes);

    put(directory, 0x02014b50, 4);
    put(directory, 20, 2);  // version made by
    directory += fields;
    put(directory, 0, 4);  // no comment, first disk
    put(directory, 0, 2);  // internal attributes
    put(directory, 0, 4);  // external attributes
    put(directory, offset, 4);
    directory += name;
  }
  const auto directory_offset = static_cast<uint32_t>(archive.size());
  archive += directory;
  put(archive, 0x06054b50, 4);
  put(archive, 0, 4);  // one disk
  put(archive, static_cast<uint32_t>(arrays.size()), 2);
  put(archive, static_cast<uint32_t>(arrays.size()), 2);
  put(archive, static_cast<uint32_t>(directory.size()), 4);
  put(archive, directory_offset, 4);
  put(archive, 0, 2);  // no comment
  write_file_atomically(path, archive);
}

}  // namespace ddpm
