#include "framework/io/torch_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "framework/core/check.h"
#include "framework/io/element_type.h"
#include "framework/io/pickle.h"
#include "framework/io/zip.h"

namespace ddpm {

namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxPickleBytes = size_t{16} << 20;
constexpr int kMaxDepth = 16;  // of dicts in dicts
constexpr size_t kMaxNameBytes = 1024;
// What views that cannot share a storage may need, in file sizes.
constexpr size_t kMaxCopies = 4;

constexpr std::string_view kOrderedDict = "collections.OrderedDict", kSize = "torch.Size",
                           kTensor = "torch._utils._rebuild_tensor_v2",
                           kParameter = "torch._utils._rebuild_parameter";
constexpr std::pair<std::string_view, ElementType> kStorages[] = {
    {"torch.DoubleStorage", ElementType::kF64}, {"torch.FloatStorage", ElementType::kF32},
    {"torch.HalfStorage", ElementType::kF16},   {"torch.BFloat16Storage", ElementType::kBf16},
    {"torch.LongStorage", ElementType::kI64},   {"torch.IntStorage", ElementType::kI32},
    {"torch.ShortStorage", ElementType::kI16},  {"torch.CharStorage", ElementType::kI8},
    {"torch.ByteStorage", ElementType::kU8},    {"torch.BoolStorage", ElementType::kBool},
};
// The ten bytes of the number that begins the old stream.
constexpr std::string_view kLegacyMagic = "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
constexpr size_t kLegacyMagicSearch = 32;  // PROTO and FRAME may come before it

std::vector<std::string_view> allowed_globals() {
  std::vector<std::string_view> names = {kOrderedDict, kSize, kTensor, kParameter};
  for (const auto& [name, type] : kStorages) names.push_back(name);
  return names;
}

struct StorageId {
  std::string key;
  ElementType type;
  size_t elements;
};

// Finds a storage in its container; a UserError if it is not there.
using LoadStorage = std::function<Tensor(const StorageId&)>;

// Rebuilds tensors from what a pickle says of them.
class StateDict {
 public:
  StateDict(const std::string& path, size_t file_size, const Pickle& pickle, LoadStorage load)
      : path_(path),
        load_(std::move(load)),
        visits_left_(pickle.node_count()),
        copies_left_(kMaxCopies * file_size),
        found_(path) {
    const PickleValue& root = pickle.value();
    DDPM_CHECK(is_dict(root) || root.is(Kind::kList) || root.is(Kind::kTuple),
               "'{}' holds {}, not a dict of tensors", path,
               is_tensor(root) ? "a single tensor" : name_of(root.kind));
    collect("", root, 0);
  }

  NamedTensors take() { return std::move(found_); }

  static StorageId storage_id(const std::string& path, const PickleNode& persistent);

 private:
  static bool is_object(const PickleValue& value, std::string_view callable) {
    return value.is(Kind::kObject) && value.node->text == callable;
  }
  static bool is_dict(const PickleValue& value) {
    return value.is(Kind::kDict) || is_object(value, kOrderedDict);
  }
  static bool is_tensor(const PickleValue& value) {
    return is_object(value, kTensor) || is_object(value, kParameter);
  }

  void collect(const std::string& name, const PickleValue& value, int depth);
  Tensor tensor(const std::string& name, const PickleValue& value);
  Tensor view(const std::string& name, const Tensor& storage, ElementType type, int64_t offset,
              const std::vector<int64_t>& extents, const std::vector<int64_t>& strides);
  std::vector<int64_t> integers(const std::string& name, const PickleValue& value) const;

  const std::string& path_;
  LoadStorage load_;
  size_t visits_left_;  // values that are reached along several ways must not multiply
  size_t copies_left_;  // bytes
  NamedTensors found_;
  std::map<std::string, std::pair<ElementType, Tensor>> storages_;
};

void StateDict::collect(const std::string& name, const PickleValue& value, int depth) {
  if (is_tensor(value)) return found_.add(name, tensor(name, value));
  const bool is_list = value.is(Kind::kList) || value.is(Kind::kTuple);
  if (!is_dict(value) && !is_list) return;
  DDPM_CHECK(depth < kMaxDepth, "'{}': '{}' is nested deeper than {} levels", path_, name,
             kMaxDepth);
  const std::vector<PickleValue>& items = value.node->items;
  const size_t step = is_list ? 1 : 2;
  for (size_t i = 0; i + step <= items.size(); i += step) {
    const PickleValue& item = items[i + step - 1];
    if (!is_tensor(item) && !is_dict(item) && !item.is(Kind::kList) && !item.is(Kind::kTuple))
      continue;
    DDPM_CHECK(visits_left_-- > 0, "'{}' holds the same values in too many places", path_);
    std::string key;
    if (is_list) {
      key = std::to_string(i);
    } else if (items[i].is(Kind::kText)) {
      key = items[i].node->text;
    } else {
      DDPM_CHECK(items[i].is(Kind::kInteger), "'{}': a key of '{}' is {}, not a text", path_, name,
                 name_of(items[i].kind));
      key = std::to_string(items[i].integer);
    }
    if (!name.empty()) key = name + "." + key;
    DDPM_CHECK(key.size() <= kMaxNameBytes, "'{}' has a name of {} bytes, at most {} are allowed",
               path_, key.size(), kMaxNameBytes);
    collect(key, item, depth + 1);
  }
}

// _rebuild_parameter(tensor, requires_grad, hooks)
// _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, metadata)
Tensor StateDict::tensor(const std::string& name, const PickleValue& value) {
  const std::vector<PickleValue>& arguments = value.node->arguments.node->items;
  if (is_object(value, kParameter)) {
    DDPM_CHECK(!arguments.empty() && is_object(arguments[0], kTensor),
               "'{}': the parameter '{}' holds no tensor", path_, name);
    return tensor(name, arguments[0]);
  }
  DDPM_CHECK(arguments.size() >= 4 && arguments[0].is(Kind::kPersistent) &&
                 arguments[1].is(Kind::kInteger),
             "'{}': the tensor '{}' does not say where its values are", path_, name);
  const StorageId id = storage_id(path_, *arguments[0].node);
  auto known = storages_.find(id.key);
  if (known == storages_.end())
    known = storages_.emplace(id.key, std::pair(id.type, load_(id))).first;
  DDPM_CHECK(known->second.first == id.type, "'{}': storage '{}' has two types, {} and {}", path_,
             id.key, name_of(known->second.first), name_of(id.type));
  return view(name, known->second.second, id.type, arguments[1].integer,
              integers(name, arguments[2]), integers(name, arguments[3]));
}

// ('storage', class, key, device, elements) and, in the old stream, None or a view of a storage
StorageId StateDict::storage_id(const std::string& path, const PickleNode& persistent) {
  const std::vector<PickleValue>& id = persistent.arguments.node->items;
  DDPM_CHECK(id.size() >= 5 && id[0].is(Kind::kText) && id[0].node->text == "storage" &&
                 id[1].is(Kind::kGlobal) && id[2].is(Kind::kText) && id[4].is(Kind::kInteger) &&
                 id[4].integer >= 0 &&
                 (id.size() == 5 || (id.size() == 6 && id[5].is(Kind::kNone))),
             "'{}': a storage is not described as PyTorch does", path);
  const auto* type = std::find_if(std::begin(kStorages), std::end(kStorages),
                                  [&](const auto& s) { return s.first == id[1].node->text; });
  DDPM_CHECK(type != std::end(kStorages), "'{}': storage '{}' has the type {}", path,
             id[2].node->text, id[1].node->text);
  return {id[2].node->text, type->second, static_cast<size_t>(id[4].integer)};
}

std::vector<int64_t> StateDict::integers(const std::string& name, const PickleValue& value) const {
  // torch.Size((2, 3)) or (2, 3)
  const PickleValue* tuple = &value;
  if (is_object(value, kSize) && value.node->arguments.node->items.size() == 1)
    tuple = &value.node->arguments.node->items[0];
  std::vector<int64_t> result;
  bool is_well = tuple->is(Kind::kTuple);
  if (is_well) {
    for (const PickleValue& item : tuple->node->items) {
      is_well &= item.is(Kind::kInteger) && item.integer >= 0;
      result.push_back(item.integer);
    }
  }
  DDPM_CHECK(is_well, "'{}': size or stride of '{}' is not a tuple of non-negative integers", path_,
             name);
  return result;
}

Tensor StateDict::view(const std::string& name, const Tensor& storage, ElementType type,
                       int64_t offset, const std::vector<int64_t>& extents,
                       const std::vector<int64_t>& strides) {
  const std::string what = fmt::format("'{}': '{}'", path_, name);
  DDPM_CHECK(extents.size() == strides.size(), "{} has {} extents and {} strides", what,
             extents.size(), strides.size());
  // Whether or not it copies: an expanded tensor has more elements than its storage.
  const size_t type_bytes = size_of(storage.dtype());
  const Shape shape = checked_shape(what, extents, type, copies_left_ + storage.bytes());
  if (shape.numel() == 0) return Tensor::empty(shape, storage.dtype(), Device::kCpu);
  int64_t last = offset, contiguous_stride = 1;
  bool is_contiguous = true, is_inside = offset >= 0 && offset < storage.numel();
  for (int i = shape.rank(); i-- > 0 && is_inside;) {
    const int64_t stride = strides[static_cast<size_t>(i)], steps = shape[i] - 1;
    if (steps > 0) {
      is_contiguous &= stride == contiguous_stride;
      is_inside =
          stride <= (storage.numel() - 1 - last) / steps;  // last + steps * stride overflows
      if (is_inside) last += steps * stride;
    }
    contiguous_stride *= shape[i];
  }
  DDPM_CHECK(is_inside,
             "{} of shape {} and strides ({}) from element {} on leaves its storage of {} elements",
             what, shape, fmt::join(strides, ", "), offset, storage.numel());
  if (is_contiguous) return storage.view(offset, shape);

  const size_t bytes = static_cast<size_t>(shape.numel()) * type_bytes;
  DDPM_CHECK(bytes <= copies_left_, "{} makes the views of this file larger than {} times the file",
             what, kMaxCopies);
  copies_left_ -= bytes;
  Tensor values = Tensor::empty(shape, storage.dtype(), Device::kCpu);
  std::vector<int64_t> index(extents.size(), 0);
  const std::byte* from = storage.raw() + static_cast<size_t>(offset) * type_bytes;
  for (int64_t to = 0; to < shape.numel(); ++to) {
    int64_t at = 0;
    for (size_t i = 0; i < index.size(); ++i) at += index[i] * strides[i];
    std::copy_n(from + static_cast<size_t>(at) * type_bytes, type_bytes,
                values.raw() + static_cast<size_t>(to) * type_bytes);
    for (size_t i = index.size(); i-- > 0 && ++index[i] == extents[i];) index[i] = 0;
  }
  return values;
}

NamedTensors read_zip(const std::string& path) {
  const ZipReader archive(path);
  constexpr std::string_view kPickle = "data.pkl";
  std::string root;
  const ZipMember* pickled = nullptr;
  for (const ZipMember& member : archive.members()) {
    if (!member.name.ends_with(kPickle)) continue;
    DDPM_CHECK(!pickled, "'{}' is not a PyTorch file: it has two members {}", path, kPickle);
    pickled = &member;
    root = member.name.substr(0, member.name.size() - kPickle.size());
  }
  DDPM_CHECK(pickled, "'{}' is a ZIP archive without {}: no PyTorch file", path, kPickle);
  DDPM_CHECK(!archive.find(root + "constants.pkl"),
             "'{}' is a TorchScript archive, which holds code; save its state_dict() instead",
             path);
  if (const ZipMember* order = archive.find(root + "byteorder")) {
    const std::vector<std::byte> text = archive.read(*order, 16);
    DDPM_CHECK(
        std::string_view(reinterpret_cast<const char*>(text.data()), text.size()) == "little",
        "'{}' was written by a big-endian machine; its values cannot be read here", path);
  }
  const std::vector<std::byte> bytes = archive.read(*pickled, kMaxPickleBytes);
  const Pickle pickle(fmt::format("'{}': '{}'", path, pickled->name), bytes, allowed_globals());
  StateDict state(path, archive.file_size(), pickle, [&](const StorageId& id) {
    const std::string name = root + "data/" + id.key;
    const ZipMember* member = archive.find(name);
    DDPM_CHECK(member, "'{}' lacks its member '{}'", path, name);
    DDPM_CHECK(id.elements <= member->size && id.elements * size_of(id.type) == member->size,
               "'{}': '{}' has {} bytes, not those of {} elements of {}", path, name, member->size,
               id.elements, name_of(id.type));
    ZipMemberReader reader(archive, *member);
    return read_elements(id.type, {static_cast<int64_t>(id.elements)},
                         [&](std::span<std::byte> into) { reader.read(into); });
  });
  return state.take();
}

std::optional<size_t> end_of_legacy_magic(const InputFile& file) {
  const auto start = file.read(0, std::min(file.size(), kLegacyMagicSearch));
  const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
  const size_t found = text.find(kLegacyMagic);
  if (found == std::string_view::npos || text[0] != '\x80') return std::nullopt;
  return found + kLegacyMagic.size();
}

// Five pickles (magic, version, system, object, keys of storages), then for each key the number of
// elements and the elements.
NamedTensors read_legacy(const std::string& path) {
  const InputFile file(path);
  size_t at = end_of_legacy_magic(file).value();
  const std::vector<std::string_view> allowed = allowed_globals();
  const auto next = [&](const char* part) {
    const std::vector<std::byte> window =
        file.read(at, std::min(file.size() - at, kMaxPickleBytes));
    auto pickle =
        std::make_unique<Pickle>(fmt::format("'{}': its {}", path, part), window, allowed);
    at += pickle->bytes();
    return pickle;
  };
  const auto version = next("version");
  constexpr int64_t kKnownVersion = 1001;
  DDPM_CHECK(version->value().is(Kind::kInteger) && version->value().integer == kKnownVersion,
             "'{}' has another version of the old PyTorch format than {}", path, kKnownVersion);
  const auto system = next("system");
  if (system->value().is(Kind::kDict)) {
    const std::vector<PickleValue>& items = system->value().node->items;
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      const bool is_order = items[i].is(Kind::kText) && items[i].node->text == "little_endian";
      DDPM_CHECK(!is_order || items[i + 1].integer != 0,
                 "'{}' was written by a big-endian machine; its values cannot be read here", path);
    }
  }
  const auto object = next("object");
  const auto keys = next("list of storages");

  std::map<std::string, StorageId> ids;
  for (const PickleNode* persistent : object->persistent()) {
    StorageId id = StateDict::storage_id(path, *persistent);
    ids.emplace(id.key, id);
  }
  std::map<std::string, size_t> offsets;
  DDPM_CHECK(keys->value().is(Kind::kList), "'{}' has no list of storages", path);
  for (const PickleValue& key : keys->value().node->items) {
    DDPM_CHECK(key.is(Kind::kText), "'{}': a storage's key is {}", path, name_of(key.kind));
    const auto id = ids.find(key.node->text);
    DDPM_CHECK(id != ids.end(), "'{}': storage '{}' belongs to no tensor", path, key.node->text);
    int64_t elements = 0;
    file.read(at, std::as_writable_bytes(std::span(&elements, 1)));
    at += sizeof elements;
    const size_t size = size_of(id->second.type), room = (file.size() - at) / size;
    DDPM_CHECK(static_cast<size_t>(elements) == id->second.elements && id->second.elements <= room,
               "'{}': storage '{}' of {} elements has {}, the rest of the file {}", path,
               key.node->text, id->second.elements, elements, room);
    offsets[key.node->text] = at;
    at += id->second.elements * size;
  }
  StateDict state(path, file.size(), *object, [&](const StorageId& id) {
    const auto found = offsets.find(id.key);
    const StorageId& listed = ids.at(id.key);
    DDPM_CHECK(found != offsets.end() && listed.elements == id.elements && listed.type == id.type,
               "'{}' lacks the {} values of type {} of storage '{}'", path, id.elements,
               name_of(id.type), id.key);
    size_t offset = found->second;
    return read_elements(id.type, {static_cast<int64_t>(id.elements)},
                         [&](std::span<std::byte> into) {
                           file.read(offset, into);
                           offset += into.size();
                         });
  });
  return state.take();
}

}  // namespace

bool is_legacy_torch_file(const InputFile& file) { return end_of_legacy_magic(file).has_value(); }

NamedTensors read_torch_file(const std::string& path) {
  bool is_zip = false;
  {
    const InputFile file(path);
    is_zip = ZipReader::recognises(file);
    DDPM_CHECK(is_zip || is_legacy_torch_file(file),
               "'{}' is not a PyTorch file: neither a ZIP archive nor the old stream", path);
  }
  return is_zip ? read_zip(path) : read_legacy(path);
}

}  // namespace ddpm
