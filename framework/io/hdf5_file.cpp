// The C API of HDF5 behind two classes; see hdf5_file.h for the decisions.
#include "framework/io/hdf5_file.h"

#include <hdf5.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "framework/core/check.h"
#include "framework/io/element_type.h"
#include "framework/io/file.h"

namespace ddpm {

namespace {

constexpr int64_t kChunkBytes = int64_t{1} << 20;  // HDF5's default chunk cache
// What a file by others may ask for.
constexpr double kMaxArrayBytes = 1e13;
constexpr int64_t kMaxChunkElements = int64_t{1} << 26;
constexpr size_t kMaxStringBytes = size_t{64} << 20;
constexpr hsize_t kMaxLinks = 1 << 20;
constexpr int kMaxDepth = 32;
constexpr const char* kChecksum = "crc32";

// An identifier and what closes it.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

// Takes HDF5's error stack: "can't open file: ...: the innermost reason".
std::string take_errors() {
  std::string chain;
  const auto append = [](unsigned, const H5E_error2_t* error, void* out) -> herr_t {
    auto& text = *static_cast<std::string*>(out);
    if (error->desc) text += (text.empty() ? "" : ": ") + std::string(error->desc);
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, append, &chain);
  H5Eclear2(H5E_DEFAULT);
  if (chain.find("lock") != std::string::npos) {
    chain +=
        " (another process may have it open; on NFS or Lustre try "
        "HDF5_USE_FILE_LOCKING=FALSE)";
  }
  return chain;
}

// Before anything else of HDF5. It prints its errors unless told not to, per thread; and at exit it
// would flush files that a full disk left half made, and crash: every file is closed by its owner.
void prepare() {
  [[maybe_unused]] static const herr_t no_exit_handler = H5dont_atexit();
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

hid_t file_type(DType dtype) {
  switch (dtype) {
    case DType::kF32: return H5T_IEEE_F32LE;
    case DType::kF64: return H5T_IEEE_F64LE;
    case DType::kU8: return H5T_STD_U8LE;
    case DType::kI32: return H5T_STD_I32LE;
    case DType::kI64: return H5T_STD_I64LE;
    case DType::kBf16: break;
  }
  DDPM_ASSERT(false, "HDF5 files hold no {}", name_of(dtype));
  return -1;
}

hid_t memory_type(DType dtype) {
  switch (dtype) {
    case DType::kF32: return H5T_NATIVE_FLOAT;
    case DType::kF64: return H5T_NATIVE_DOUBLE;
    case DType::kU8: return H5T_NATIVE_UINT8;
    case DType::kI32: return H5T_NATIVE_INT32;
    case DType::kI64: return H5T_NATIVE_INT64;
    case DType::kBf16: break;
  }
  DDPM_ASSERT(false, "HDF5 files hold no {}", name_of(dtype));
  return -1;
}

std::vector<hsize_t> extents(const Shape& shape) {
  std::vector<hsize_t> dims;
  for (int i = 0; i < shape.rank(); ++i) dims.push_back(static_cast<hsize_t>(shape[i]));
  return dims;
}

// Contiguous pieces of the array of at most kChunkBytes.
std::vector<hsize_t> chunk_extents(const Shape& shape, DType dtype) {
  std::vector<hsize_t> chunk = extents(shape);
  auto room = static_cast<hsize_t>(kChunkBytes) / size_of(dtype);
  for (size_t i = chunk.size(); i-- > 0;) {
    chunk[i] = std::min(chunk[i], room);
    room = std::max<hsize_t>(room / chunk[i], 1);
  }
  return chunk;
}

// Of fixed length: h5py gives bytes, but a variable-length string lies in the global heap, whose
// damage HDF5 1.10 answers with wrong text, crashes and endless loops.
Handle utf8_type(size_t size) {
  Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type, std::max<size_t>(size, 1));
  H5Tset_strpad(type, H5T_STR_NULLPAD);
  H5Tset_cset(type, H5T_CSET_UTF8);
  return type;
}

// What files and groups have in common.
void set_group_properties(hid_t create) {
  H5Pset_obj_track_times(create, false);
  H5Pset_link_creation_order(create, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  // All attributes stay in the object's header, which has a checksum.
  H5Pset_attr_phase_change(create, 65535, 0);
}

Shape to_shape(const hsize_t* dims, int rank) {
  return shape_of(std::vector<int64_t>(dims, dims + rank));
}

uint32_t checksum(const void* values, size_t bytes) {
  return static_cast<uint32_t>(crc32_z(0, static_cast<const Bytef*>(values), bytes));
}

}  // namespace

template <class... Args>
void Hdf5Writer::check(bool ok, fmt::format_string<Args...> action, Args&&... args) const {
  if (ok) return;
  fail("'{}': cannot {}: {}", path_, fmt::format(action, std::forward<Args>(args)...),
       take_errors());
}

Hdf5Writer::Hdf5Writer(std::string path, bool compress)
    : path_(std::move(path)), temporary_(temporary_path(path_)), compress_(compress) {
  prepare();
  const Handle create(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  set_group_properties(create);
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  // Version 1.8 metadata has checksums and is the oldest that allows large attributes.
  H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);
  H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
  file_ = H5Fcreate(temporary_.c_str(), H5F_ACC_TRUNC, create, access);
  if (file_ < 0) {
    ::unlink(temporary_.c_str());
    fail_user("cannot create '{}': {}", path_, take_errors());
  }
}

Hdf5Writer::~Hdf5Writer() {
  if (file_ < 0) return;
  H5Fclose(file_);
  ::unlink(temporary_.c_str());
}

void Hdf5Writer::group(const std::string& path) {
  DDPM_ASSERT(path.starts_with('/'), "'{}' is not an absolute path", path);
  const Handle create(H5Pcreate(H5P_GROUP_CREATE), H5Pclose);
  set_group_properties(create);
  for (size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', end + 1), path.size());
    const std::string prefix = path.substr(0, end);
    if (prefix == "/" || H5Lexists(file_, prefix.c_str(), H5P_DEFAULT) > 0) continue;
    const Handle made(H5Gcreate2(file_, prefix.c_str(), H5P_DEFAULT, create, H5P_DEFAULT),
                      H5Gclose);
    check(made >= 0, "create group '{}'", prefix);
  }
}

void Hdf5Writer::array(const std::string& path, const Shape& shape, DType dtype,
                       const void* values) {
  DDPM_ASSERT(shape.rank() >= 1, "'{}' has no extent", path);
  if (path.rfind('/') != 0) group(path.substr(0, path.rfind('/')));
  const std::vector<hsize_t> dims = extents(shape);
  const Handle space(H5Screate_simple(shape.rank(), dims.data(), nullptr), H5Sclose);
  const Handle create(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_obj_track_times(create, false);
  H5Pset_fill_time(create, H5D_FILL_TIME_NEVER);
  if (shape.numel() > 0) {
    H5Pset_chunk(create, shape.rank(), chunk_extents(shape, dtype).data());
    if (compress_) {
      H5Pset_shuffle(create);
      H5Pset_deflate(create, 1);
    }
    H5Pset_fletcher32(create);
  }
  {
    const Handle array(
        H5Dcreate2(file_, path.c_str(), file_type(dtype), space, H5P_DEFAULT, create, H5P_DEFAULT),
        H5Dclose);
    check(array >= 0, "create array '{}'", path);
    check(H5Dwrite(array, memory_type(dtype), H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0,
          "write array '{}'", path);
  }
  set_integer(path, kChecksum,
              checksum(values, static_cast<size_t>(shape.numel()) * size_of(dtype)));
}

void Hdf5Writer::attribute(const std::string& object, const std::string& name, int64_t type,
                           const void* value) {
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle made(H5Acreate_by_name(file_, object.c_str(), name.c_str(), type, space, H5P_DEFAULT,
                                      H5P_DEFAULT, H5P_DEFAULT),
                    H5Aclose);
  check(made >= 0 && H5Awrite(made, type, value) >= 0, "write attribute '{}' of '{}'", name,
        object);
}

void Hdf5Writer::set_integer(const std::string& object, const std::string& name, int64_t value) {
  attribute(object, name, H5T_NATIVE_INT64, &value);
}

void Hdf5Writer::set_number(const std::string& object, const std::string& name, double value) {
  attribute(object, name, H5T_NATIVE_DOUBLE, &value);
}

void Hdf5Writer::set_string(const std::string& object, const std::string& name,
                            const std::string& value) {
  DDPM_ASSERT(value.find('\0') == std::string::npos, "attribute '{}' contains a NUL", name);
  attribute(object, name, utf8_type(value.size()), value.c_str());
}

void Hdf5Writer::commit() {
  DDPM_ASSERT(file_ >= 0, "'{}' is already committed", path_);
  const bool closed = H5Fclose(std::exchange(file_, -1)) >= 0;
  try {
    check(closed, "write the file");  // a full disk may show only here
    publish_file(temporary_, path_);
  } catch (...) {
    ::unlink(temporary_.c_str());
    throw;
  }
}

template <class... Args>
void Hdf5Reader::check(bool ok, fmt::format_string<Args...> action, Args&&... args) const {
  if (ok) return;
  fail_user("'{}': cannot {}: {}", path_, fmt::format(action, std::forward<Args>(args)...),
            take_errors());
}

Hdf5Reader::Hdf5Reader(std::string path) : path_(std::move(path)) {
  prepare();
  DDPM_CHECK(std::filesystem::exists(path_), "cannot open '{}': no such file", path_);
  const htri_t is_hdf5 = H5Fis_hdf5(path_.c_str());
  check(is_hdf5 >= 0, "open the file");
  DDPM_CHECK(is_hdf5 > 0, "'{}' is not an HDF5 file", path_);
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
  file_ = H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access);
  check(file_ >= 0, "open the file");
}

Hdf5Reader::Hdf5Reader(std::string name, std::span<const std::byte> image)
    : path_(std::move(name)) {
  prepare();
  const Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
  H5Pset_fapl_core(access, /*increment=*/size_t{1} << 16, /*backing_store=*/false);
  // HDF5 copies the image; its signature is not const for the sake of callbacks we do not set.
  H5Pset_file_image(access, const_cast<std::byte*>(image.data()), image.size());
  file_ = H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access);
  check(file_ >= 0, "open the file in memory");
}

Hdf5Reader::~Hdf5Reader() {
  if (file_ >= 0) H5Fclose(file_);
}

bool Hdf5Reader::has(const std::string& path) const {
  for (size_t end = 0; end < path.size() && path != "/";) {
    end = std::min(path.find('/', end + 1), path.size());
    const htri_t exists = H5Lexists(file_, path.substr(0, end).c_str(), H5P_DEFAULT);
    check(exists >= 0, "look for '{}'", path);
    if (exists == 0) return false;
  }
  return true;
}

bool Hdf5Reader::has_attribute(const std::string& object, const std::string& name) const {
  const htri_t exists = H5Aexists_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT);
  check(exists >= 0, "look for attribute '{}' of '{}'", name, object);
  return exists > 0;
}

std::vector<std::string> Hdf5Reader::list(const std::string& path) const {
  const Handle group(H5Gopen2(file_, path.c_str(), H5P_DEFAULT), H5Gclose);
  H5G_info_t info;
  check(group >= 0 && H5Gget_info(group, &info) >= 0, "open group '{}'", path);
  DDPM_CHECK(info.nlinks <= kMaxLinks, "'{}': group '{}' has {} members, at most {} allowed", path_,
             path, info.nlinks, kMaxLinks);
  const Handle create(H5Gget_create_plist(group), H5Pclose);
  unsigned order = 0;
  H5Pget_link_creation_order(create, &order);
  const H5_index_t index = order & H5P_CRT_ORDER_TRACKED ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
  std::vector<std::string> names;
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    char name[1024];  // ours are paths of layers; a longer one is cut and then not found
    const ssize_t size =
        H5Lget_name_by_idx(group, ".", index, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
    check(size >= 0, "list group '{}'", path);
    names.emplace_back(name);
  }
  return names;
}

std::vector<std::string> Hdf5Reader::arrays(const std::string& group) const {
  std::vector<std::string> found;
  collect(group == "/" ? "" : group, 0, found);
  return found;
}

void Hdf5Reader::collect(const std::string& group, int depth,
                         std::vector<std::string>& found) const {
  // Hard links may form a cycle.
  DDPM_CHECK(depth <= kMaxDepth, "'{}': groups are nested deeper than {}", path_, kMaxDepth);
  for (const std::string& name : list(group.empty() ? "/" : group)) {
    const std::string path = group + "/" + name;
    const Handle object(H5Oopen(file_, path.c_str(), H5P_DEFAULT), H5Oclose);
    check(object >= 0, "open '{}'", path);
    const H5I_type_t type = H5Iget_type(object);
    if (type == H5I_DATASET) found.push_back(path);
    if (type == H5I_GROUP) collect(path, depth + 1, found);
  }
}

Hdf5Array Hdf5Reader::info(const std::string& path) const {
  DDPM_CHECK(has(path), "'{}' has no array '{}'", path_, path);
  const Handle array(H5Dopen2(file_, path.c_str(), H5P_DEFAULT), H5Dclose);
  check(array >= 0, "open array '{}'", path);

  const Handle space(H5Dget_space(array), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space);
  check(rank >= 0, "read the shape of '{}'", path);
  DDPM_CHECK(rank <= Shape::kMaxRank, "'{}': '{}' has {} extents, at most {} allowed", path_, path,
             rank, Shape::kMaxRank);
  hsize_t dims[Shape::kMaxRank] = {};
  check(H5Sget_simple_extent_dims(space, dims, nullptr) >= 0, "read the shape of '{}'", path);
  const Shape shape = to_shape(dims, rank);
  double bytes = 8;
  for (const hsize_t extent : dims) bytes *= static_cast<double>(std::max<hsize_t>(extent, 1));
  DDPM_CHECK(bytes <= kMaxArrayBytes, "'{}': array '{}' of shape {} is too large", path_, path,
             shape);

  // Values outside this file, or chunks that exhaust the memory, are not for us.
  const Handle create(H5Dget_create_plist(array), H5Pclose);
  const H5D_layout_t layout = H5Pget_layout(create);
  check(layout >= 0, "read the layout of '{}'", path);
  DDPM_CHECK(layout != H5D_VIRTUAL && H5Pget_external_count(create) == 0,
             "'{}': the values of '{}' are in another file", path_, path);
  if (layout == H5D_CHUNKED) {
    hsize_t chunk[Shape::kMaxRank] = {};
    check(H5Pget_chunk(create, rank, chunk) == rank, "read the chunks of '{}'", path);
    DDPM_CHECK(to_shape(chunk, rank).numel() <= kMaxChunkElements,
               "'{}': the chunks of '{}' have shape {}, at most {} elements allowed", path_, path,
               to_shape(chunk, rank), kMaxChunkElements);
  }

  const Handle stored(H5Dget_type(array), H5Tclose);
  const Handle native(H5Tget_native_type(stored, H5T_DIR_ASCEND), H5Tclose);
  check(native >= 0, "read the type of '{}'", path);
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kU8, DType::kI32, DType::kI64}) {
    if (H5Tequal(native, memory_type(dtype)) > 0) return {shape, dtype};
  }
  fail_user("'{}': '{}' has a type other than f32, f64, u8, i32, i64", path_, path);
}

void Hdf5Reader::read(const std::string& path, const Shape& shape, DType dtype,
                      void* values) const {
  const Hdf5Array array = info(path);
  DDPM_CHECK(array.shape == shape && array.dtype == dtype, "'{}': '{}' is {} {}, expected {} {}",
             path_, path, name_of(array.dtype), array.shape, name_of(dtype), shape);
  read_selection(path, 0, shape, dtype, values);
  if (!has_attribute(path, kChecksum)) return;  // not written by us
  DDPM_CHECK(integer(path, kChecksum) ==
                 checksum(values, static_cast<size_t>(shape.numel()) * size_of(dtype)),
             "'{}': the values of '{}' do not match their checksum", path_, path);
}

void Hdf5Reader::read_rows(const std::string& path, int64_t begin, const Shape& rows, DType dtype,
                           void* values) const {
  DDPM_ASSERT(rows.rank() >= 1 && begin >= 0, "rows from {} of shape {}", begin, rows);
  const Hdf5Array array = info(path);
  const bool same_rows = array.shape.rank() == rows.rank() &&
                         array.shape.with_outer(rows[0]) == rows && array.dtype == dtype;
  DDPM_CHECK(same_rows && rows[0] <= array.shape[0] - begin,
             "'{}': '{}' is {} {}, expected {} {} from row {}", path_, path, name_of(array.dtype),
             array.shape, name_of(dtype), rows, begin);
  read_selection(path, begin, rows, dtype, values);
}

void Hdf5Reader::read_selection(const std::string& path, int64_t begin, const Shape& rows,
                                DType dtype, void* values) const {
  if (rows.numel() == 0) return;
  const Handle array(H5Dopen2(file_, path.c_str(), H5P_DEFAULT), H5Dclose);
  check(array >= 0, "open array '{}'", path);
  const std::vector<hsize_t> count = extents(rows);
  std::vector<hsize_t> start(count.size());
  const Handle stored(H5Dget_space(array), H5Sclose);
  const Handle memory(
      rows.rank() ? H5Screate_simple(rows.rank(), count.data(), nullptr) : H5Screate(H5S_SCALAR),
      H5Sclose);
  if (rows.rank()) {
    start[0] = static_cast<hsize_t>(begin);
    check(H5Sselect_hyperslab(stored, H5S_SELECT_SET, start.data(), nullptr, count.data(),
                              nullptr) >= 0,
          "select rows of '{}'", path);
  }
  check(H5Dread(array, memory_type(dtype), memory, stored, H5P_DEFAULT, values) >= 0,
        "read array '{}'", path);
}

template <class Read>
void Hdf5Reader::attribute(const std::string& object, const std::string& name, const char* expected,
                           const Read& read_value) const {
  DDPM_CHECK(has_attribute(object, name), "'{}': '{}' has no attribute '{}'", path_, object, name);
  const Handle attribute(
      H5Aopen_by_name(file_, object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  check(attribute >= 0, "open attribute '{}' of '{}'", name, object);
  const Handle space(H5Aget_space(attribute), H5Sclose);
  const Handle type(H5Aget_type(attribute), H5Tclose);
  const bool ok = H5Sget_simple_extent_npoints(space) == 1 && read_value(attribute, type);
  const std::string errors = take_errors();
  DDPM_CHECK(ok, "'{}': attribute '{}' of '{}' is not {}{}{}", path_, name, object, expected,
             errors.empty() ? "" : ": ", errors);
}

int64_t Hdf5Reader::integer(const std::string& object, const std::string& name) const {
  int64_t value = 0;
  attribute(object, name, "an integer", [&](hid_t attribute, hid_t type) {
    return H5Tget_class(type) == H5T_INTEGER && H5Aread(attribute, H5T_NATIVE_INT64, &value) >= 0;
  });
  return value;
}

double Hdf5Reader::number(const std::string& object, const std::string& name) const {
  double value = 0;
  attribute(object, name, "a number", [&](hid_t attribute, hid_t type) {
    const H5T_class_t kind = H5Tget_class(type);
    return (kind == H5T_FLOAT || kind == H5T_INTEGER) &&
           H5Aread(attribute, H5T_NATIVE_DOUBLE, &value) >= 0;
  });
  return value;
}

std::string Hdf5Reader::string(const std::string& object, const std::string& name) const {
  std::string value;
  attribute(object, name, "a string", [&](hid_t attribute, hid_t type) {
    if (H5Tget_class(type) != H5T_STRING) return false;
    if (H5Tis_variable_str(type) > 0) {
      char* text = nullptr;
      if (H5Aread(attribute, type, &text) < 0) return false;
      if (text) value = text;
      H5free_memory(text);
      return true;
    }
    if (H5Tget_size(type) > kMaxStringBytes) return false;
    value.resize(H5Tget_size(type));
    if (H5Aread(attribute, type, value.data()) < 0) return false;
    value.resize(std::strlen(value.c_str()));  // padded with NULs
    return true;
  });
  return value;
}

}  // namespace ddpm
