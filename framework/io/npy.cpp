// The .npy format, versions 1 to 3 (NEP 1): a magic, the length of a header, the header as a Python
// dictionary of three known keys, and the values; see npy.h.
#include "framework/io/npy.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <numeric>
#include <optional>

#include "framework/core/check.h"
#include "framework/io/element_type.h"

namespace ddpm {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxHeaderBytes = 65536;

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

std::optional<ElementType> element_type(std::string_view descr) {
  constexpr std::pair<std::string_view, ElementType> kKnown[] = {
      {"<f8", ElementType::kF64}, {"<f4", ElementType::kF32}, {"<f2", ElementType::kF16},
      {"<i8", ElementType::kI64}, {"<i4", ElementType::kI32}, {"<i2", ElementType::kI16},
      {"|i1", ElementType::kI8},  {"|u1", ElementType::kU8},  {"|b1", ElementType::kBool},
  };
  for (const auto& [name, type] : kKnown)
    if (name == descr) return type;
  return std::nullopt;
}

std::string npy_header(const Shape& shape, DType dtype) {
  std::string tuple;  // as Python prints it: (), (5,), (5, 3)
  for (int i = 0; i < shape.rank(); ++i) tuple += fmt::format("{}{}", i ? ", " : "", shape[i]);
  if (shape.rank() == 1) tuple += ",";
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                 descriptor(dtype), tuple);
  constexpr size_t kPrefix = 10, kAlignment = 64;
  text.append(kAlignment - 1 - (kPrefix + text.size()) % kAlignment, ' ');
  text += '\n';
  std::string header(kMagic);
  header += '\x01';  // version 1.0
  header += '\x00';
  header += static_cast<char>(text.size());
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

struct Header {
  std::string descr;
  bool fortran_order = false;
  std::vector<int64_t> extents;
};

// The three entries in any order, and nothing else of Python.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& what) : rest_(text), what_(what) {}

  Header parse() {
    Header header;
    bool has_descr = false, has_order = false, has_shape = false;
    expect("{");
    while (!accept("}")) {
      const std::string key = quoted();
      expect(":");
      if (key == "descr" && !std::exchange(has_descr, true)) {
        header.descr = quoted();
      } else if (key == "fortran_order" && !std::exchange(has_order, true)) {
        header.fortran_order = accept("True");
        if (!header.fortran_order) expect("False");
      } else if (key == "shape" && !std::exchange(has_shape, true)) {
        expect("(");
        while (!accept(")")) {
          header.extents.push_back(integer());
          if (!accept(",")) {
            expect(")");
            break;
          }
        }
      } else {
        refuse();
      }
      if (!accept(",")) {
        expect("}");
        break;
      }
    }
    skip_space();
    if (!rest_.empty() || !has_descr || !has_order || !has_shape) refuse();
    return header;
  }

 private:
  [[noreturn]] void refuse() const {
    const auto is_ascii = [](char c) { return c >= ' ' && c <= '~'; };
    std::string shown(rest_.substr(0, 40));
    std::replace_if(shown.begin(), shown.end(), std::not_fn(is_ascii), '?');
    fail_user(
        "{}: its header is not that of a plain array ('descr', 'fortran_order' and 'shape'), at: "
        "{}",
        what_, shown.empty() ? "its end" : shown);
  }
  void skip_space() {
    const size_t n = std::min(rest_.find_first_not_of(" \n"), rest_.size());
    rest_.remove_prefix(n);
  }
  bool accept(std::string_view token) {
    skip_space();
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  void expect(std::string_view token) {
    if (!accept(token)) refuse();
  }
  std::string quoted() {
    skip_space();
    const char quote = rest_.empty() ? ' ' : rest_[0];
    if (quote != '\'' && quote != '"') refuse();
    const size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) refuse();
    const std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }
  int64_t integer() {
    skip_space();
    int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) refuse();
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    accept("L");  // of Python 2
    return value;
  }

  std::string_view rest_;
  const std::string& what_;
};

// Fortran order is the transpose: element (i, j, k) stands at i + I (j + J k).
Tensor from_fortran_order(const Tensor& stored, const Shape& shape) {
  Tensor values = Tensor::empty(shape, stored.dtype(), Device::kCpu);
  const size_t size = size_of(stored.dtype());
  const int rank = shape.rank();
  std::vector<int64_t> index(static_cast<size_t>(rank), 0), stride(static_cast<size_t>(rank), 1);
  for (int i = 1; i < rank; ++i) stride[i] = stride[i - 1] * shape[i - 1];
  for (int64_t to = 0; to < shape.numel(); ++to) {
    const int64_t from = std::inner_product(index.begin(), index.end(), stride.begin(), int64_t{0});
    std::copy_n(stored.raw() + static_cast<size_t>(from) * size, size,
                values.raw() + static_cast<size_t>(to) * size);
    for (int i = rank - 1; i >= 0 && ++index[i] == shape[i]; --i) index[i] = 0;
  }
  return values;
}

// The array in the `bytes` that `next` gives; `what` begins every message.
Tensor read_array(const std::string& what, size_t bytes, const ByteSource& next) {
  const auto take = [&](size_t n) {
    DDPM_CHECK(n <= bytes, "{} is truncated in its header", what);
    std::string text(n, '\0');
    next(std::as_writable_bytes(std::span(text.data(), n)));
    bytes -= n;
    return text;
  };
  const std::string prefix = take(kMagic.size() + 2);
  DDPM_CHECK(prefix.starts_with(kMagic), "{} is not a NumPy array", what);
  const int version = prefix[kMagic.size()];
  DDPM_CHECK(version >= 1 && version <= 3, "{} has version {} of the .npy format; known are 1 to 3",
             what, version);
  size_t header_bytes = 0;
  const std::string length = take(version == 1 ? 2 : 4);
  for (size_t i = length.size(); i-- > 0;)
    header_bytes = header_bytes << 8 | static_cast<unsigned char>(length[i]);
  DDPM_CHECK(header_bytes <= kMaxHeaderBytes, "{} has a header of {} bytes, at most {} are allowed",
             what, header_bytes, kMaxHeaderBytes);
  const std::string text = take(header_bytes);
  const Header header = HeaderParser(text, what).parse();
  const std::optional<ElementType> type = element_type(header.descr);
  DDPM_CHECK(type,
             "{} holds elements of type '{}'; known are little-endian f2, f4, f8, i1, i2, i4, i8, "
             "u1 and b1",
             what, header.descr);
  const Shape shape = checked_shape(what, header.extents, *type, bytes);
  const size_t needed = static_cast<size_t>(shape.numel()) * size_of(*type);
  DDPM_CHECK(needed == bytes, "{} of shape {} and type {} has {} bytes of values instead of {}",
             what, shape, name_of(*type), bytes, needed);
  if (!header.fortran_order || shape.rank() < 2) return read_elements(*type, shape, next);
  return from_fortran_order(read_elements(*type, {shape.numel()}, next), shape);
}

}  // namespace

bool is_npy(const InputFile& file) {
  if (file.size() < kMagic.size()) return false;
  const std::vector<std::byte> start = file.read(0, kMagic.size());
  return std::string_view(reinterpret_cast<const char*>(start.data()), start.size()) == kMagic;
}

NamedTensors read_npz(const std::string& path) {
  const ZipReader archive(path);
  NamedTensors arrays(path);
  for (const ZipMember& member : archive.members()) {
    const std::string_view name = member.name;
    DDPM_CHECK(name.ends_with(".npy"), "'{}' is not an .npz: its member '{}' is not an array", path,
               name);
    ZipMemberReader reader(archive, member);
    arrays.add(std::string(name.substr(0, name.size() - 4)),
               read_array(fmt::format("'{}': '{}'", path, name), member.size,
                          [&](std::span<std::byte> into) { reader.read(into); }));
  }
  return arrays;
}

NamedTensors read_npy(const std::string& path) {
  const InputFile file(path);
  NamedTensors arrays(path);
  size_t offset = 0;
  arrays.add("", read_array(fmt::format("'{}'", path), file.size(), [&](std::span<std::byte> into) {
               file.read(offset, into);
               offset += into.size();
             }));
  return arrays;
}

void NpzWriter::begin(const std::string& name, const Shape& shape, DType dtype) {
  const std::string header = npy_header(shape, dtype);
  const size_t bytes = static_cast<size_t>(shape.numel()) * size_of(dtype);
  archive_.begin(name + ".npy", header.size() + bytes);
  archive_.write(header);
}

void write_npz(const std::string& path, const std::vector<NpzArray>& arrays) {
  NpzWriter file(path);
  for (const NpzArray& array : arrays) {
    file.begin(array.name, array.shape, array.dtype);
    file.append(array.values);
  }
  file.commit();
}

void write_npy(const std::string& path, const Shape& shape, DType dtype,
               std::span<const std::byte> values) {
  DDPM_ASSERT(values.size() == static_cast<size_t>(shape.numel()) * size_of(dtype),
              "{} bytes for {} {}", values.size(), name_of(dtype), shape);
  OutputFile file(path);
  file.write(npy_header(shape, dtype));
  file.write(values);
  file.commit();
}

}  // namespace ddpm
