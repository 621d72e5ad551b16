#include "framework/io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "framework/core/check.h"
#include "framework/io/element_type.h"
#include "framework/io/file.h"

namespace ddpm {

namespace {

constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxHeaderBytes = 100'000'000;
constexpr const char* kMetadata = "__metadata__";

struct Name {
  const char* name;
  ElementType type;
};
constexpr Name kNames[] = {
    {"F64", ElementType::kF64},   {"F32", ElementType::kF32}, {"F16", ElementType::kF16},
    {"BF16", ElementType::kBf16}, {"I64", ElementType::kI64}, {"I32", ElementType::kI32},
    {"I16", ElementType::kI16},   {"I8", ElementType::kI8},   {"U8", ElementType::kU8},
    {"BOOL", ElementType::kBool},
};

const char* dtype_name(DType dtype) {
  switch (dtype) {
    case DType::kF64: return "F64";
    case DType::kF32: return "F32";
    case DType::kBf16: return "BF16";
    case DType::kI64: return "I64";
    case DType::kI32: return "I32";
    case DType::kU8: return "U8";
  }
  return "?";
}

struct Entry {
  std::string name;
  ElementType type;
  Shape shape;
  size_t begin, end;  // among the values
};

// Deeper nesting than {name: {key: [...]}} and duplicate keys, of which a document would keep one,
// are refused while parsing, so that memory stays a small multiple of the header.
nlohmann::json parse_header(const std::string& path, const std::vector<std::byte>& text) {
  using nlohmann::json;
  constexpr size_t kLevels = 3;
  std::set<std::string> keys[kLevels + 1];  // of the object that is open at each depth
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    const auto level = static_cast<size_t>(depth);
    if (event == json::parse_event_t::object_start || event == json::parse_event_t::array_start) {
      DDPM_CHECK(level < kLevels, "'{}' is not a safetensors file: its header nests {} levels",
                 path, level + 1);
      keys[level + 1].clear();
    } else if (event == json::parse_event_t::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      DDPM_CHECK(keys[level].insert(key).second, "'{}' has two entries called '{}'", path, key);
    }
    return true;
  };
  const auto* begin = reinterpret_cast<const char*>(text.data());
  try {
    json header = json::parse(begin, begin + text.size(), check);
    DDPM_CHECK(header.is_object(), "'{}' is not a safetensors file: its header is not an object",
               path);
    return header;
  } catch (const json::exception& error) {
    constexpr size_t kShown = 200;  // it quotes what it last read, which may be the whole header
    fail_user("'{}' is not a safetensors file: its header is not JSON: {}", path,
              std::string(error.what()).substr(0, kShown));
  }
}

Entry read_entry(const std::string& path, const std::string& name, const nlohmann::json& json,
                 size_t value_bytes) {
  const std::string what = fmt::format("'{}': '{}'", path, name);
  const auto integers = [&](const char* key) {
    const auto found = json.find(key);
    const bool is_list = found != json.end() && found->is_array();
    DDPM_CHECK(
        is_list && std::all_of(found->begin(), found->end(),
                               [](const nlohmann::json& n) { return n.is_number_unsigned(); }),
        "{} has no list of non-negative integers '{}'", what, key);
    return found->get<std::vector<uint64_t>>();
  };
  DDPM_CHECK(json.is_object(), "{} is not described by an object", what);
  const auto dtype = json.find("dtype");
  DDPM_CHECK(dtype != json.end() && dtype->is_string(), "{} has no string 'dtype'", what);
  const auto* known = std::find_if(std::begin(kNames), std::end(kNames), [&](const Name& n) {
    return dtype->get_ref<const std::string&>() == n.name;
  });
  DDPM_CHECK(known != std::end(kNames),
             "{} has type {}; known are F64, F32, F16, BF16, I64, I32, I16, I8, U8 and BOOL", what,
             dtype->get_ref<const std::string&>());
  const std::vector<uint64_t> offsets = integers("data_offsets");
  DDPM_CHECK(offsets.size() == 2 && offsets[0] <= offsets[1] && offsets[1] <= value_bytes,
             "{} lies at bytes [{}] of {}", what, fmt::join(offsets, ", "), value_bytes);
  const size_t bytes = offsets[1] - offsets[0];
  std::vector<int64_t> extents;
  for (const uint64_t extent : integers("shape")) extents.push_back(static_cast<int64_t>(extent));
  const Shape shape = checked_shape(what, extents, known->type, bytes);
  DDPM_CHECK(static_cast<size_t>(shape.numel()) * size_of(known->type) == bytes,
             "{} of shape {} and type {} has {} bytes", what, shape, known->name, bytes);
  return {name, known->type, shape, offsets[0], offsets[1]};
}

}  // namespace

bool is_safetensors(const InputFile& file) {
  return file.size() > kLengthBytes && file.read(kLengthBytes, 1)[0] == std::byte{'{'};
}

NamedTensors read_safetensors(const std::string& path) {
  const InputFile file(path);
  DDPM_CHECK(file.size() >= kLengthBytes, "'{}' is not a safetensors file: it has only {} bytes",
             path, file.size());
  uint64_t header_bytes = 0;
  file.read(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
  const size_t room = file.size() - kLengthBytes;
  DDPM_CHECK(
      header_bytes <= std::min(room, kMaxHeaderBytes),
      "'{}' is not a complete safetensors file: its header would have {} bytes, the file has "
      "{} after its length and {} are allowed",
      path, header_bytes, room, kMaxHeaderBytes);
  const size_t values = kLengthBytes + header_bytes, value_bytes = file.size() - values;
  const nlohmann::json header = parse_header(path, file.read(kLengthBytes, header_bytes));

  NamedTensors tensors(path);
  std::vector<Entry> entries;
  for (const auto& [name, json] : header.items()) {
    if (name != kMetadata) {
      entries.push_back(read_entry(path, name, json, value_bytes));
      continue;
    }
    DDPM_CHECK(json.is_object(), "'{}': {} is not an object", path, kMetadata);
    for (const auto& [key, text] : json.items()) {
      DDPM_CHECK(text.is_string(), "'{}': '{}' of {} is not a string", path, key, kMetadata);
      tensors.metadata[key] = text.get<std::string>();
    }
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  size_t end = 0;  // of the values so far
  for (const Entry& entry : entries) {
    DDPM_CHECK(entry.begin == end, "'{}': '{}' begins at byte {} of the values, {}", path,
               entry.name, entry.begin,
               entry.begin < end ? "inside another tensor" : "after a hole that no tensor fills");
    end = entry.end;
  }
  DDPM_CHECK(end == value_bytes, "'{}' has {} bytes of values, its tensors take {}", path,
             value_bytes, end);
  for (const Entry& entry : entries) {
    size_t offset = values + entry.begin;
    tensors.add(entry.name, read_elements(entry.type, entry.shape, [&](std::span<std::byte> into) {
                  file.read(offset, into);
                  offset += into.size();
                }));
  }
  return tensors;
}

void write_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    return size_of(a->values.dtype()) > size_of(b->values.dtype());
  });
  using Json = nlohmann::ordered_json;
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  size_t offset = 0;
  for (const NamedTensor* tensor : order) {
    const auto& [name, values] = *tensor;
    Json shape = Json::array();
    for (int i = 0; i < values.shape().rank(); ++i) shape.push_back(values.shape()[i]);
    header[name] = {{"dtype", dtype_name(values.dtype())},
                    {"shape", std::move(shape)},
                    {"data_offsets", {offset, offset + values.bytes()}}};
    offset += values.bytes();
  }
  std::string text = header.dump();
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  const uint64_t header_bytes = text.size();
  OutputFile file(path);
  file.write(std::as_bytes(std::span(&header_bytes, 1)));
  file.write(text);
  std::vector<std::byte> host;
  for (const NamedTensor* tensor : order) {
    host.resize(tensor->values.bytes());
    tensor->values.copy_to_host(host.data());
    file.write(host);
  }
  file.commit();
}

}  // namespace ddpm
