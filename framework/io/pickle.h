// Python pickles as data. Nothing is ever called or imported: what a pickle asks to call is kept as
// an object with its arguments, and only callables that the reader lists are accepted at all.
//
// Protocols 2 to 5, the opcodes that plain data need. The number of values is bounded, and they
// live together in the Pickle, so that neither depth nor cycles can hurt whoever frees them; who
// walks through them must bound its own depth.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ddpm {

struct PickleNode;

struct PickleValue {
  enum class Kind : uint8_t {
    kNone,
    kBool,        // integer
    kInteger,     // integer
    kNumber,      // number
    kText,        // node: text, str or bytes
    kTuple,       // node: items
    kList,        // node: items
    kDict,        // node: items, key after value after key
    kGlobal,      // node: text, "module.name"
    kObject,      // node: text, the callable; arguments, a tuple; items, what was set on the result
    kPersistent,  // node: arguments, the identifier
  } kind = Kind::kNone;
  union {
    int64_t integer = 0;
    double number;
    PickleNode* node;
  };

  bool is(Kind k) const { return kind == k; }
};

struct PickleNode {
  std::string text;
  std::vector<PickleValue> items;
  PickleValue arguments;
};

class Pickle {
 public:
  // Reads the pickle at the beginning of `bytes`. `source` begins every message, all UserErrors.
  // `allowed` are the callables, as "module.name".
  Pickle(std::string source, std::span<const std::byte> bytes,
         std::span<const std::string_view> allowed);
  Pickle(const Pickle&) = delete;
  Pickle& operator=(const Pickle&) = delete;

  const PickleValue& value() const { return value_; }
  size_t bytes() const { return bytes_; }  // of the pickle: what follows it is not looked at
  size_t node_count() const { return nodes_.size(); }
  // The identifiers of all persistent objects, in the order of their appearance.
  const std::vector<const PickleNode*>& persistent() const { return persistent_; }

 private:
  class Machine;

  std::deque<PickleNode> nodes_;  // a deque: values point into it
  std::vector<const PickleNode*> persistent_;
  PickleValue value_;
  size_t bytes_ = 0;
};

// What messages call a kind.
const char* name_of(PickleValue::Kind kind);

}  // namespace ddpm
