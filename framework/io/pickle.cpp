// The stack machine of Python's pickletools, reduced to data; see pickle.h.
#include "framework/io/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "framework/core/check.h"

namespace ddpm {

namespace {

using Kind = PickleValue::Kind;

// A state dict takes about ten nodes a tensor.
constexpr size_t kMaxNodes = size_t{1} << 20;

}  // namespace

class Pickle::Machine {
 public:
  Machine(Pickle& out, std::string source, std::span<const std::byte> bytes,
          std::span<const std::string_view> allowed)
      : out_(out), source_(std::move(source)), bytes_(bytes), allowed_(allowed) {}

  void run() {
    DDPM_CHECK(bytes_.size() >= 2 && next(1) == kProto, "{} is not a pickle of protocol 2 or later",
               source_);
    const size_t protocol = next(1);
    check(protocol >= 2 && protocol <= 5, "protocol {}; known are 2 to 5", protocol);
    while (step()) {
    }
    check(stack_.size() == 1 && marks_.empty(), "{} values are left at its end", stack_.size());
    out_.value_ = stack_.back();
    out_.bytes_ = at_;
  }

 private:
  static constexpr uint8_t kProto = 0x80;

  template <class... Args>
  void check(bool ok, fmt::format_string<Args...> format, Args&&... args) const {
    if (ok) return;
    fail_user("{} is a damaged or unknown pickle, at byte {}: {}", source_, at_,
              fmt::format(format, std::forward<Args>(args)...));
  }

  // An unsigned number, least significant byte first.
  uint64_t next(size_t bytes) {
    check(bytes <= bytes_.size() - at_, "it is truncated");
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(bytes_[at_ + i]) << (8 * i);
    at_ += bytes;
    return value;
  }
  std::string next_text(uint64_t bytes) {
    check(bytes <= bytes_.size() - at_, "a text of {} bytes is truncated", bytes);
    std::string text(reinterpret_cast<const char*>(bytes_.data()) + at_, bytes);
    at_ += bytes;
    return text;
  }
  std::string next_line() {
    const auto begin = bytes_.begin() + static_cast<ptrdiff_t>(at_);
    const auto end = std::find(begin, bytes_.end(), std::byte{'\n'});
    check(end != bytes_.end(), "a line does not end");
    const std::string line = next_text(static_cast<uint64_t>(end - begin));
    ++at_;
    return line;
  }

  void push(const PickleValue& value) { stack_.push_back(value); }
  void push_integer(Kind kind, int64_t integer) {
    PickleValue value{kind, {}};
    value.integer = integer;
    push(value);
  }
  PickleNode& push_node(Kind kind) {
    check(out_.nodes_.size() < kMaxNodes, "more than {} values", kMaxNodes);
    PickleValue value{kind, {}};
    value.node = &out_.nodes_.emplace_back();
    push(value);
    return *value.node;
  }
  void push_text(std::string text) { push_node(Kind::kText).text = std::move(text); }

  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleValue pop() {
    check(stack_.size() > floor(), "a value is missing");
    const PickleValue value = stack_.back();
    stack_.pop_back();
    return value;
  }
  PickleValue pop(Kind kind, const char* purpose) {
    const PickleValue value = pop();
    check(value.is(kind), "{} is {}", purpose, name_of(value.kind));
    return value;
  }
  const PickleValue& top() const {
    check(stack_.size() > floor(), "a value is missing");
    return stack_.back();
  }
  std::vector<PickleValue> pop_to_mark() {
    check(!marks_.empty(), "a mark is missing");
    const auto begin = stack_.begin() + static_cast<ptrdiff_t>(marks_.back());
    std::vector<PickleValue> values(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return values;
  }

  void push_tuple(size_t count) {
    std::vector<PickleValue> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    push_node(Kind::kTuple).items = std::move(items);
  }
  void append(const std::vector<PickleValue>& values) {
    const PickleValue& list = top();
    check(list.is(Kind::kList), "values are appended to {}", name_of(list.kind));
    list.node->items.insert(list.node->items.end(), values.begin(), values.end());
  }
  void set_items(const std::vector<PickleValue>& pairs) {
    const PickleValue& dict = top();
    check(dict.is(Kind::kDict) || dict.is(Kind::kObject), "items are set on {}",
          name_of(dict.kind));
    check(pairs.size() % 2 == 0, "a key has no value");
    dict.node->items.insert(dict.node->items.end(), pairs.begin(), pairs.end());
  }
  void push_global(const std::string& module, const std::string& name) {
    std::string global = module + "." + name;
    // Not damage, but a file of another kind, or one that would run code.
    DDPM_CHECK(std::find(allowed_.begin(), allowed_.end(), global) != allowed_.end(),
               "{} refers to Python's '{}', which is not plain tensor data and is never run; save "
               "the network's state_dict() alone",
               source_, global);
    push_node(Kind::kGlobal).text = std::move(global);
  }

  void memoize(uint64_t index) { memo_[index] = top(); }
  void recall(uint64_t index) {
    const auto found = memo_.find(index);
    check(found != memo_.end(), "nothing was kept under {}", index);
    push(found->second);
  }

  bool step();  // false at the end

  Pickle& out_;
  std::string source_;
  std::span<const std::byte> bytes_;
  std::span<const std::string_view> allowed_;
  size_t at_ = 0;
  std::vector<PickleValue> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint64_t, PickleValue> memo_;
};

bool Pickle::Machine::step() {
  const auto opcode = static_cast<uint8_t>(next(1));
  switch (opcode) {
    case '.': return false;  // STOP
    case 0x95:               // FRAME: a hint for buffering
      next(8);
      break;

    case 'N': push({}); break;
    case 0x88: push_integer(Kind::kBool, 1); break;
    case 0x89: push_integer(Kind::kBool, 0); break;
    case 'J': push_integer(Kind::kInteger, static_cast<int32_t>(next(4))); break;
    case 'K': push_integer(Kind::kInteger, static_cast<int64_t>(next(1))); break;
    case 'M': push_integer(Kind::kInteger, static_cast<int64_t>(next(2))); break;
    case 0x8a: {  // LONG1: of any width, the highest bit is the sign
      const size_t bytes = next(1);
      check(bytes <= 8, "an integer of {} bytes", bytes);
      const uint64_t bits = next(bytes);
      const size_t unused = 64 - 8 * bytes;
      push_integer(Kind::kInteger, bytes == 0 ? 0 : static_cast<int64_t>(bits << unused) >> unused);
      break;
    }
    case 'G': {  // BINFLOAT: the only big-endian number
      uint64_t bits = 0;
      for (int i = 0; i < 8; ++i) bits = bits << 8 | next(1);
      PickleValue value{Kind::kNumber, {}};
      value.number = std::bit_cast<double>(bits);
      push(value);
      break;
    }

    case 'X':  // BINUNICODE
    case 'T':  // BINSTRING, of Python 2
    case 'B':  // BINBYTES
      push_text(next_text(next(4)));
      break;
    case 0x8c:  // SHORT_BINUNICODE
    case 'U':   // SHORT_BINSTRING
    case 'C':   // SHORT_BINBYTES
      push_text(next_text(next(1)));
      break;
    case 0x8d: push_text(next_text(next(8))); break;  // BINUNICODE8

    case '(': marks_.push_back(stack_.size()); break;
    case ')': push_tuple(0); break;
    case 0x85: push_tuple(1); break;
    case 0x86: push_tuple(2); break;
    case 0x87: push_tuple(3); break;
    case 't': {  // TUPLE
      std::vector<PickleValue> items = pop_to_mark();
      push_node(Kind::kTuple).items = std::move(items);
      break;
    }
    case ']': push_node(Kind::kList); break;
    case 'a': append({pop()}); break;
    case 'e': append(pop_to_mark()); break;
    case '}': push_node(Kind::kDict); break;
    case 's': {  // SETITEM
      const PickleValue value = pop(), key = pop();
      set_items({key, value});
      break;
    }
    case 'u': set_items(pop_to_mark()); break;

    case 'q': memoize(next(1)); break;
    case 'r': memoize(next(4)); break;
    case 0x94: memoize(memo_.size()); break;  // MEMOIZE
    case 'h': recall(next(1)); break;
    case 'j': recall(next(4)); break;

    case 'c': {  // GLOBAL
      const std::string module = next_line();
      push_global(module, next_line());
      break;
    }
    case 0x93: {  // STACK_GLOBAL
      const std::string name = pop(Kind::kText, "a global's name").node->text;
      push_global(pop(Kind::kText, "a global's module").node->text, name);
      break;
    }
    case 'R': {  // REDUCE: where Python would call
      const PickleValue arguments = pop(Kind::kTuple, "the arguments of a call");
      const PickleValue callable = pop(Kind::kGlobal, "what is called");
      PickleNode& object = push_node(Kind::kObject);
      object.text = callable.node->text;
      object.arguments = arguments;
      break;
    }
    case 'b':  // BUILD: the attributes of an object; those of a state dict are versions of modules
      pop();
      check(top().is(Kind::kObject), "attributes are set on {}", name_of(top().kind));
      break;
    case 'Q': {  // BINPERSID
      const PickleValue identifier = pop(Kind::kTuple, "a persistent identifier");
      PickleNode& object = push_node(Kind::kPersistent);
      object.arguments = identifier;
      out_.persistent_.push_back(&object);
      break;
    }
    default: check(false, "opcode 0x{:02x} is not one of plain data", opcode);
  }
  return true;
}

Pickle::Pickle(std::string source, std::span<const std::byte> bytes,
               std::span<const std::string_view> allowed) {
  Machine(*this, std::move(source), bytes, allowed).run();
}

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::kNone: return "None";
    case Kind::kBool: return "a bool";
    case Kind::kInteger: return "an int";
    case Kind::kNumber: return "a float";
    case Kind::kText: return "a text";
    case Kind::kTuple: return "a tuple";
    case Kind::kList: return "a list";
    case Kind::kDict: return "a dict";
    case Kind::kGlobal: return "a class";
    case Kind::kObject: return "an object";
    case Kind::kPersistent: return "a storage";
  }
  return "?";
}

}  // namespace ddpm
